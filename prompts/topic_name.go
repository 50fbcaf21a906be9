package prompts

import (
	"embed"
	"fmt"
	"strings"
	"text/template"
)

// TopicNameVersion names the wording that RenderTopicName uses.
const TopicNameVersion = "topic_name/v1"

//go:embed topic_name/v1/*.tmpl
var topicNameFiles embed.FS

var topicName = template.Must(template.New("topic_name").Funcs(template.FuncMap{"data": Data}).ParseFS(topicNameFiles, "topic_name/v1/*.tmpl"))

// TopicName is what a name for a topic is made from: its most telling words, and a redacted prompt that belongs to it.
type TopicName struct {
	Terms   []string
	Example string
}

// RenderTopicName renders the prompt that asks for the name of a topic.
func RenderTopicName(n TopicName) (Prompt, error) {
	out := Prompt{Version: TopicNameVersion}
	for name, dst := range map[string]*string{"system.tmpl": &out.System, "user.tmpl": &out.User} {
		var b strings.Builder
		if err := topicName.ExecuteTemplate(&b, name, n); err != nil {
			return Prompt{}, fmt.Errorf("prompts: render %s/%s: %w", TopicNameVersion, name, err)
		}
		*dst = b.String()
	}
	return out, nil
}
