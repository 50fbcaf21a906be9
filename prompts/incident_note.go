package prompts

import (
	"embed"
	"encoding/json"
	"fmt"
	"strings"
	"text/template"
	"unicode"
)

// IncidentNoteVersion names the wording that RenderIncidentNote uses.
const IncidentNoteVersion = "incident_note/v1"

//go:embed incident_note/v1/*.tmpl
var incidentNoteFiles embed.FS

var incidentNote = template.Must(template.New("incident_note").
	Funcs(template.FuncMap{"data": Data, "quoted": quoted, "ids": ids}).
	ParseFS(incidentNoteFiles, "incident_note/v1/*.tmpl"))

// Prompt is a rendered prompt: what the model shall be, and what it is asked.
type Prompt struct {
	System  string
	User    string
	Version string
}

// Fact is one citable fact, such as "E3".
type Fact struct {
	ID   string
	Text string
}

// Claim is a sentence or two of the draft and the facts that they rest on. Cause is the id of the cause that the hypothesis
// is about, such as "C1".
type Claim struct {
	Cause     string
	Text      string
	Citations []string
}

// IncidentNote is what an incident's note is written from: the facts, and the draft that shall be put into better words.
// Problems are the reasons why the last reply was not accepted; it is empty on the first attempt.
type IncidentNote struct {
	Facts           []Fact
	Hypothesis      Claim
	Recommendations []Claim
	Summary         Claim
	Problems        []string
}

// RenderIncidentNote renders the prompt that asks for the note of an incident.
func RenderIncidentNote(n IncidentNote) (Prompt, error) {
	out := Prompt{Version: IncidentNoteVersion}
	for name, dst := range map[string]*string{"system.tmpl": &out.System, "user.tmpl": &out.User} {
		var b strings.Builder
		if err := incidentNote.ExecuteTemplate(&b, name, n); err != nil {
			return Prompt{}, fmt.Errorf("prompts: render %s/%s: %w", IncidentNoteVersion, name, err)
		}
		*dst = b.String()
	}
	return out, nil
}

// quoted is Data as a JSON string.
func quoted(text string) (string, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(Data(text))
	return strings.TrimSpace(b.String()), err
}

// ids is a JSON array of ids.
func ids(list []string) (string, error) {
	out, err := json.Marshal(list)
	return string(out), err
}

var neutral = strings.NewReplacer("<", "‹", ">", "›", "[", "(", "]", ")")

// Data makes a text safe to stand between fences: one line of visible characters, without the brackets that fences and
// control tokens are made of.
func Data(text string) string {
	line := strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Cc, unicode.Cf) {
			return -1
		}
		return r
	}, strings.Join(strings.Fields(text), " "))
	return neutral.Replace(line)
}
