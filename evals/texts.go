package evals

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Text is a piece of a text of the data folder, about as long as what the engine embeds.
type Text struct {
	Kind  engine.TextKind
	Text  string
	Group string // the record that it comes from, or that record's cluster of near copies
}

// pieceWords and pieceBytes bound a piece of text; the bytes are for languages that write no spaces.
const (
	pieceWords = 64
	pieceBytes = 1024
)

// textLine has the fields of the four files that hold texts.
type textLine struct {
	ID       string `json:"id"`
	Kind     string `json:"kind"`
	Cluster  any    `json:"cluster"` // a number or a name
	Text     string `json:"text"`
	Context  string `json:"context"`
	Question string `json:"question"`
	Response string `json:"response"`
	Task     string `json:"task"`
	Steps    []struct {
		Kind   string `json:"kind"`
		Input  string `json:"input"`
		Output string `json:"output"`
	} `json:"steps"`
}

// textFiles says what the texts of each file are.
var textFiles = []struct {
	name  string
	texts func(l textLine) ([]Text, error)
}{
	{"prompts.jsonl.gz", func(l textLine) ([]Text, error) {
		kinds := map[string]engine.TextKind{"user": engine.TextUserPrompt, "document": engine.TextDocument}
		kind, ok := kinds[l.Kind]
		if !ok {
			return nil, fmt.Errorf("kind is %q: want user or document", l.Kind)
		}
		if l.Text == "" {
			return nil, errors.New("text is empty")
		}
		group := l.ID
		if l.Cluster != nil {
			group = fmt.Sprintf("cluster %v", l.Cluster)
		}
		return []Text{{kind, l.Text, group}}, nil
	}},
	{"groundedness.jsonl.gz", func(l textLine) ([]Text, error) {
		if l.Context == "" || l.Response == "" {
			return nil, errors.New("context or response is empty")
		}
		// Two responses to one context are two lines.
		return []Text{
			{engine.TextDocument, l.Context, l.Context}, {engine.TextUserPrompt, l.Question, l.Context}, {engine.TextResponse, l.Response, l.Context},
		}, nil
	}},
	{"open_hallucination.jsonl.gz", func(l textLine) ([]Text, error) {
		if l.Question == "" || l.Response == "" {
			return nil, errors.New("question or response is empty")
		}
		return []Text{{engine.TextUserPrompt, l.Question, l.ID}, {engine.TextResponse, l.Response, l.ID}}, nil
	}},
	{"agent_runs.jsonl.gz", func(l textLine) ([]Text, error) {
		if l.Task == "" {
			return nil, errors.New("task is empty")
		}
		out := []Text{{engine.TextUserPrompt, l.Task, l.ID}}
		for i, s := range l.Steps {
			switch s.Kind {
			case "user":
				out = append(out, Text{engine.TextUserPrompt, s.Output, l.ID})
			case "llm":
				out = append(out, Text{engine.TextResponse, s.Output, l.ID})
			case "tool":
				out = append(out, Text{engine.TextToolArguments, s.Input, l.ID}, Text{engine.TextToolResult, s.Output, l.ID})
			default:
				return nil, fmt.Errorf("steps[%d].kind is %q: want user, llm or tool", i, s.Kind)
			}
		}
		return out, nil
	}},
}

// ReadTexts reads what users, models, tools and retrieval said in the files of labelled prompts, responses and agent runs, in pieces,
// each once. A file that is not there is passed over; ErrUnavailable means that none is.
func ReadTexts(env Env) ([]Text, error) {
	var out []Text
	var missing error
	seen := make(map[string]bool)
	for _, file := range textFiles {
		lines, err := ReadJSONL(env, env.Path(file.name), func(l textLine) error {
			_, err := file.texts(l)
			return err
		})
		if errors.Is(err, ErrUnavailable) {
			missing = cmp.Or(missing, err)
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, l := range lines {
			texts, _ := file.texts(l) // it was checked above
			for _, t := range texts {
				for _, piece := range pieces(t.Text) {
					if !seen[piece] {
						seen[piece] = true
						out = append(out, Text{t.Kind, piece, t.Group})
					}
				}
			}
		}
	}
	if len(out) == 0 {
		return nil, cmp.Or(missing, Unavailable("no text in %s", env.Data))
	}
	return out, nil
}

// Words are the words of a text in lower case, for baselines that know no better.
func Words(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) })
}

// pieces cuts a text between words, and within a word that fills a piece alone. White space is reduced to single spaces.
func pieces(text string) []string {
	var out []string
	var piece strings.Builder
	words := 0
	flush := func() {
		if words > 0 {
			out = append(out, piece.String())
			piece.Reset()
			words = 0
		}
	}
	for _, word := range strings.Fields(strings.ToValidUTF8(text, "�")) {
		if words == pieceWords || piece.Len()+len(word) >= pieceBytes {
			flush()
		}
		for len(word) > pieceBytes {
			end := pieceBytes
			for !utf8.RuneStart(word[end]) {
				end--
			}
			out = append(out, word[:end])
			word = word[end:]
		}
		if words > 0 {
			piece.WriteByte(' ')
		}
		piece.WriteString(word)
		words++
	}
	flush()
	return out
}
