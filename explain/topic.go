package explain

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/prompts"
)

// Bounds of the name of a topic.
const (
	topicNameWords  = 6
	topicNameBytes  = 60
	topicNameTokens = 64
)

var topicNameSchema = json.RawMessage(
	`{"type":"object","properties":{"name":{"type":"string","minLength":3,"maxLength":60}},"required":["name"],"additionalProperties":false}`)

// NameTopic has the language model name a topic by its telling words and one prompt of it, inside the budget of the notes. A name that is
// none of a few plain words, or has none of the telling ones, is refused: engine.CodeInvalid. engine.CodeUnavailable when there is no
// model, no turn or no budget.
func (e *Explainer) NameTopic(ctx context.Context, terms []string, example string) (string, error) {
	if e.chat == nil {
		return "", engine.Errorf(engine.CodeUnavailable, "explain: no language model is configured")
	}
	prompt, err := prompts.RenderTopicName(prompts.TopicName{Terms: terms, Example: example})
	if err != nil {
		return "", err
	}
	if !e.wait(ctx) {
		return "", engine.Errorf(engine.CodeUnavailable, "explain: the language model had no turn for a topic")
	}
	defer func() { <-e.turn }()
	text, fallback := e.complete(ctx, "", Request{
		System: prompt.System, User: prompt.User, Schema: topicNameSchema, MaxTokens: min(topicNameTokens, e.cfg.LLM.MaxOutputTokens),
	}, &usage{})
	if fallback != "" {
		return "", engine.Errorf(engine.CodeUnavailable, "explain: topic not named: %s", fallback)
	}
	return topicName(text, terms)
}

// topicName reads and checks a reply.
func topicName(text string, terms []string) (string, error) {
	var reply struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal([]byte(text), &reply); err != nil {
		return "", engine.Errorf(engine.CodeInvalid, "explain: the name of a topic is no JSON: %w", err)
	}
	words := strings.Fields(reply.Name)
	name := strings.Join(words, " ")
	plain := func(r rune) bool { return unicode.IsLetter(r) || r == ' ' || r == '-' || r == '\'' || r == ',' }
	switch {
	case len(words) == 0 || len(words) > topicNameWords || len(name) > topicNameBytes:
		return "", engine.Errorf(engine.CodeInvalid, "explain: the name of a topic has %d words, %d bytes", len(words), len(name))
	case strings.ContainsFunc(name, func(r rune) bool { return !plain(r) }):
		return "", fmt.Errorf("explain: %w", engine.Errorf(engine.CodeInvalid, "the name of a topic has more than letters in it"))
	}
	for _, term := range terms {
		if strings.Contains(strings.ToLower(name), strings.ToLower(term)) {
			return name, nil
		}
	}
	return "", engine.Errorf(engine.CodeInvalid, "explain: the name of a topic has none of its telling words")
}
