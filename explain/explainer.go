package explain

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/prompts"
)

// attempts is how often a note is asked for: once, and once more with what was wrong.
const attempts = 2

// causeID is what the likeliest cause is called in a prompt and a reply.
const causeID = "C1"

// Bounds of a prompt.
const (
	promptFacts    = 12
	promptProblems = 5
)

// Explainer writes notes. It is safe for concurrent use; the language model gets one call at a time.
type Explainer struct {
	cfg       Config
	chat      Chat // nil: deterministic only
	log       *slog.Logger
	metrics   *metrics
	spending  *spending
	breaker   *breaker
	turn      chan struct{}
	written   *lru.Cache[key, engine.Explanation]
	supported *lru.Cache[[sha256.Size]byte, []string] // quotes by question
}

var _ engine.Explainer = (*Explainer)(nil)

// key says when two explanations are the same.
type key struct{ fingerprint, digest string }

// New makes an Explainer. Without a chat every note is deterministic; with one, cfg.LLM must name its provider and limits.
func New(cfg Config, chat Chat, registry prometheus.Registerer, log *slog.Logger) (*Explainer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("explain: configuration: %w", err)
	}
	if (chat != nil) != (cfg.LLM.Provider != ProviderNone) {
		return nil, fmt.Errorf("explain: configuration: llm.provider is %s, which does not agree with the chat that was given", cfg.LLM.Provider)
	}
	var author string
	if chat != nil {
		author = chat.Name()
	}
	m, err := newMetrics(registry, author)
	if err != nil {
		return nil, err
	}
	written, err := lru.New[key, engine.Explanation](cfg.CacheSize)
	if err != nil {
		return nil, fmt.Errorf("explain: cache: %w", err)
	}
	supported, err := lru.New[[sha256.Size]byte, []string](cfg.CacheSize)
	if err != nil {
		return nil, fmt.Errorf("explain: cache: %w", err)
	}
	return &Explainer{
		cfg: cfg, chat: chat, log: log.With("component", "explain"), metrics: m,
		spending:  &spending{limit: cfg.Budget},
		breaker:   newBreaker(author, log.With("component", "explain")),
		turn:      make(chan struct{}, 1),
		written:   written,
		supported: supported,
	}, nil
}

// Explain implements engine.Explainer. The explanation is shared with later callers that ask for the same fingerprint and
// evidence: it is to be read only. An incident without a type is an error with engine.CodeInvalid.
func (e *Explainer) Explain(ctx context.Context, in engine.Incident, ev engine.Evidence) (engine.Explanation, error) {
	if in.Type == "" {
		return engine.Explanation{}, engine.Errorf(engine.CodeInvalid, "explain: incident %q has no type", in.ID)
	}
	k := key{in.Fingerprint, ev.Digest}
	if found, ok := e.written.Get(k); ok && ev.Digest != "" {
		return found, nil
	}
	if e.chat != nil {
		// Who waited for a turn may find that the same note was written meanwhile.
		if !e.wait(ctx) {
			return e.finish(k, write(in, ev).explanation(), usage{fallback: FallbackTimeout}, time.Now()), nil
		}
		defer func() { <-e.turn }()
		if found, ok := e.written.Get(k); ok && ev.Digest != "" {
			return found, nil
		}
	}
	start := time.Now()
	d := write(in, ev)
	out := d.explanation()
	var used usage
	if e.chat != nil {
		if r, ok := e.ask(ctx, d, &used); ok {
			d.reword(r)
			out = d.explanation()
			out.Author = e.chat.Name()
		}
	}
	return e.finish(k, out, used, start), nil
}

// wait takes the turn to use the language model. It reports false when the turn did not come in time.
func (e *Explainer) wait(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.LLM.Timeout)
	defer cancel()
	select {
	case e.turn <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// usage is what a note took of the language model, and why the deterministic note stands, "" when it does not or nobody asked.
type usage struct {
	fallback string
	prompt   string // version
	tokens   int64
	cost     float64
}

func (e *Explainer) finish(k key, out engine.Explanation, used usage, start time.Time) engine.Explanation {
	out.Fallback, out.PromptVersion, out.Tokens, out.Cost = used.fallback, used.prompt, used.tokens, used.cost
	out.At = time.Now()
	out.Took = out.At.Sub(start)
	e.metrics.notes.WithLabelValues(out.Author, out.Fallback).Inc()
	if k.digest != "" && !isPassing(out.Fallback) {
		e.written.Add(k, out)
	}
	return out
}

// ask has the language model word the draft. It reports false, with the reason in used, when no reply passed.
func (e *Explainer) ask(ctx context.Context, d *draft, used *usage) (reply, bool) {
	shown := d.shown()
	form := schema(causeID, ids(shown))
	var problems []problem
	for range attempts {
		prompt, err := prompts.RenderIncidentNote(d.prompt(shown, problems))
		if err != nil {
			e.log.Error("prompt not rendered", "incident", d.in.ID, "error", err)
			used.fallback = FallbackUnavailable
			return reply{}, false
		}
		used.prompt = prompt.Version
		text, reason := e.complete(ctx, d.in.ID, Request{System: prompt.System, User: prompt.User, Schema: form, MaxTokens: e.cfg.LLM.MaxOutputTokens}, used)
		if reason != "" {
			used.fallback = reason
			return reply{}, false
		}
		r, malformed := parseReply(text)
		if malformed != nil {
			problems = []problem{*malformed}
		} else if problems = d.check(r); len(problems) == 0 {
			used.fallback = ""
			return r, true
		}
		used.fallback = problems[0].reason
		e.log.Info("reply refused", "incident", d.in.ID, "model", e.chat.Name(), "reason", problems[0].reason, "problems", len(problems))
	}
	return reply{}, false
}

// complete makes one call inside the time limit and the budget: about an incident or, with "", about something else, which has a share of it.
// It returns the text, or why there is none.
func (e *Explainer) complete(ctx context.Context, incident string, r Request, used *usage) (text, fallback string) {
	reserved := charge{input: estimate(r), output: int64(r.MaxTokens), at: time.Now()}
	if reserved.input+reserved.output > int64(e.cfg.LLM.ContextTokens) {
		return "", FallbackTooLarge
	}
	share := 1.0
	if incident == "" {
		share = aside
	}
	if !e.spending.reserve(reserved, share) {
		return "", FallbackBudget
	}
	ctx, cancel := context.WithTimeout(ctx, e.cfg.LLM.Timeout)
	defer cancel()
	answer, err := e.breaker.call(func() (Reply, error) { return e.chat.Complete(ctx, r) })
	spent := charge{input: answer.InputTokens, output: answer.OutputTokens}
	switch {
	case err != nil && callFailure(err) != FallbackTimeout:
		spent = charge{} // refused, or never there
	case spent.input == 0 && spent.output == 0:
		spent = reserved // nobody says: what it may have been
	}
	e.spending.settle(reserved, spent)
	cost := e.cfg.Budget.price(spent)
	used.tokens += spent.input + spent.output
	used.cost += cost
	e.metrics.tokens.WithLabelValues("input").Add(float64(spent.input))
	e.metrics.tokens.WithLabelValues("output").Add(float64(spent.output))
	e.metrics.cost.Add(cost)
	if err == nil {
		return answer.Text, ""
	}
	reason := callFailure(err)
	if !isOpen(err) && !errors.Is(err, context.Canceled) {
		e.log.Warn("language model gave no reply", "incident", incident, "model", e.chat.Name(), "reason", reason, "error", err)
	}
	return "", reason
}

// estimate is an upper bound of the prompt's tokens for all but unusual texts: two bytes a token, where four are common.
func estimate(r Request) int64 {
	const overhead = 32 // the chat template's own
	return int64(len(r.System)+len(r.User)+1)/2 + overhead
}

// shown are the facts that the model sees: those that the sentences which it shall edit rest on.
func (d *draft) shown() []engine.Citation {
	wanted := map[string]bool{}
	for _, c := range append([]claim{d.summary, d.statements[0]}, d.actions()...) {
		for _, id := range c.citations {
			wanted[id] = true
		}
	}
	var out []engine.Citation
	for _, f := range d.facts.list {
		if wanted[f.ID] && len(out) < promptFacts {
			out = append(out, f)
		}
	}
	return out
}

// actions are the recommendations that the model sees.
func (d *draft) actions() []claim {
	return d.recommendations[:min(len(d.recommendations), maxReplyActions)]
}

// prompt is what the model is asked: the facts that it may use and the draft, whose citations are listed instead of written.
func (d *draft) prompt(shown []engine.Citation, problems []problem) prompts.IncidentNote {
	visible := ids(shown)
	plain := func(c claim) prompts.Claim {
		return prompts.Claim{
			Text:      withoutCitations(c.text),
			Citations: slices.DeleteFunc(slices.Clone(c.citations), func(id string) bool { return !slices.Contains(visible, id) }),
		}
	}
	n := prompts.IncidentNote{Hypothesis: plain(d.statements[0]), Summary: plain(d.summary)}
	n.Hypothesis.Cause = causeID
	for _, f := range shown {
		n.Facts = append(n.Facts, prompts.Fact{ID: f.ID, Text: f.Text})
	}
	for _, r := range d.actions() {
		n.Recommendations = append(n.Recommendations, plain(r))
	}
	for _, p := range problems[:min(len(problems), promptProblems)] {
		n.Problems = append(n.Problems, p.detail)
	}
	return n
}

func withoutCitations(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(citedPattern.ReplaceAllString(text, " ")), " "), " .", ".")
}

// reword puts the sentences of a reply that was checked into the draft. The causes and their order stay.
func (d *draft) reword(r reply) {
	d.summary = d.worded(r.Summary)
	d.statements[0] = d.worded(r.Hypothesis)
	d.recommendations = nil
	for _, a := range r.Recommendations {
		d.recommendations = append(d.recommendations, d.worded(a))
	}
}

// worded is a model's text as a claim: one line, its citations at the end where the text does not name them itself, and
// nothing in it that Markdown or HTML would act on.
func (d *draft) worded(c replyClaim) claim {
	cited, _ := d.cited(c)
	text := inert.Replace(clean(c.Text, maxReplyText))
	if strings.Count(text, "`")%2 != 0 {
		text = strings.ReplaceAll(text, "`", "'")
	}
	var missing []string
	for _, f := range cited {
		if !strings.Contains(text, "["+f.ID+"]") {
			missing = append(missing, f.ID)
		}
	}
	return claim{text: text + brackets(missing), citations: ids(cited)}
}

var inert = strings.NewReplacer("<", "‹", ">", "›", "](", "] (", "![", "! [")
