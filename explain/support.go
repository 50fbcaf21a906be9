package explain

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/prompts"
)

// supportTokens is how long the quote of one sentence may be in a reply.
const supportTokens = 96

// Support has the language model find, for each sentence, the words in the passages that say the same. It returns one quote a sentence,
// "" where the model found none; whether a quote is in the passages at all is for the caller to check. It takes at most its share of the
// budget of the notes, and never waits for a note that is being written: engine.CodeUnavailable when there is no model, no turn or no
// budget, engine.CodeInvalid when the reply is none. The same question is asked once.
func (e *Explainer) Support(ctx context.Context, passages, sentences []string) ([]string, error) {
	if e.chat == nil {
		return nil, engine.Errorf(engine.CodeUnavailable, "explain: no language model is configured")
	}
	question := sha256.Sum256([]byte(fmt.Sprintf("%q%q", passages, sentences)))
	if known, ok := e.supported.Get(question); ok {
		return known, nil
	}
	prompt, err := prompts.RenderAnswerSupport(prompts.AnswerSupport{Passages: passages, Sentences: sentences})
	if err != nil {
		return nil, err
	}
	select {
	case e.turn <- struct{}{}:
	default:
		return nil, engine.Errorf(engine.CodeUnavailable, "explain: the language model is busy")
	}
	defer func() { <-e.turn }()
	text, fallback := e.complete(ctx, "", Request{
		System: prompt.System, User: prompt.User, Schema: supportSchema(len(sentences)),
		MaxTokens: min(supportTokens*len(sentences), e.cfg.LLM.MaxOutputTokens),
	}, &usage{})
	if fallback != "" {
		return nil, engine.Errorf(engine.CodeUnavailable, "explain: answer not judged: %s", fallback)
	}
	quotes, err := readQuotes(text, len(sentences))
	if err != nil {
		return nil, err
	}
	e.supported.Add(question, quotes)
	return quotes, nil
}

func supportSchema(sentences int) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"type":"object","properties":{"quotes":{"type":"array","minItems":%[1]d,"maxItems":%[1]d,"items":{"type":"object",`+
		`"properties":{"sentence":{"type":"integer","minimum":1,"maximum":%[1]d},"quote":{"type":"string","maxLength":400}},`+
		`"required":["sentence","quote"],"additionalProperties":false}}},"required":["quotes"],"additionalProperties":false}`, sentences))
}

// readQuotes reads a reply. A sentence that it leaves out has no quote.
func readQuotes(text string, sentences int) ([]string, error) {
	var reply struct {
		Quotes []struct {
			Sentence int    `json:"sentence"`
			Quote    string `json:"quote"`
		} `json:"quotes"`
	}
	if err := json.Unmarshal([]byte(text), &reply); err != nil {
		return nil, engine.Errorf(engine.CodeInvalid, "explain: what supports an answer is no JSON: %w", err)
	}
	out := make([]string, sentences)
	for _, q := range reply.Quotes {
		if q.Sentence < 1 || q.Sentence > sentences {
			return nil, engine.Errorf(engine.CodeInvalid, "explain: a quote is for sentence %d of %d", q.Sentence, sentences)
		}
		out[q.Sentence-1] = strings.TrimSpace(q.Quote)
	}
	return out, nil
}
