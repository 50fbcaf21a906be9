package prompts

import (
	"embed"
	"fmt"
	"strings"
	"text/template"
)

// AnswerSupportVersion names the wording that RenderAnswerSupport uses.
const AnswerSupportVersion = "answer_support/v1"

//go:embed answer_support/v1/*.tmpl
var answerSupportFiles embed.FS

var answerSupport = template.Must(template.New("answer_support").
	Funcs(template.FuncMap{"data": Data, "inc": func(i int) int { return i + 1 }}).
	ParseFS(answerSupportFiles, "answer_support/v1/*.tmpl"))

// AnswerSupport is sentences of an answer, numbered from 1 in the prompt, and the passages that it was written from.
type AnswerSupport struct {
	Passages  []string
	Sentences []string
}

// RenderAnswerSupport renders the prompt that asks where the passages say what the sentences say.
func RenderAnswerSupport(a AnswerSupport) (Prompt, error) {
	out := Prompt{Version: AnswerSupportVersion}
	for name, dst := range map[string]*string{"system.tmpl": &out.System, "user.tmpl": &out.User} {
		var b strings.Builder
		if err := answerSupport.ExecuteTemplate(&b, name, a); err != nil {
			return Prompt{}, fmt.Errorf("prompts: render %s/%s: %w", AnswerSupportVersion, name, err)
		}
		*dst = b.String()
	}
	return out, nil
}
