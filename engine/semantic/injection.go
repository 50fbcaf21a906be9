package semantic

import (
	"context"
	"strings"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Injection implements engine.Detector for instructions that were put into what a model reads: retrieved documents and results of tools,
// which have nothing to tell a model. A text is judged sentence by sentence, since an instruction in a long document says nothing about
// the whole of it: by how much it reads like an attack, and by how little it is put as the service's documents are. The worst counts.
type Injection struct{ *attacks }

// NewInjection returns a detector that knows what ships. The known attacks are kept in mind while it learns.
func NewInjection(cfg Config, known []string) (*Injection, error) {
	a, err := newAttacks(cfg, shippedInjection, known)
	if err != nil {
		return nil, err
	}
	return &Injection{a}, nil
}

// Name implements engine.Detector.
func (j *Injection) Name() string { return "injection" }

// read looks at each sentence of what a trace's models were given to read.
func (j *Injection) read(o engine.Observation) []suspect {
	var out []suspect
	for _, p := range passages(o.Texts, engine.TextDocument, engine.TextToolResult) {
		sentences, pairs := sentencePairs(p.text)
		odd := make([]float64, len(sentences))
		if h := j.peek(groupKey{Service: o.Trace.Spans[p.span].Service}); h.Wording.Texts >= j.cfg.MinTexts {
			odd = h.Wording.misfits(pairs)
		}
		at := 0 // the chunk that a sentence begins in, as far as sentences come in order
		for i, u := range sentences {
			for k := at; k < len(p.chunks); k++ {
				if strings.Contains(o.Texts[p.chunks[k]].Text, u) {
					at = k
					break
				}
			}
			out = append(out, j.suspects(u, suspect{span: p.span, kind: p.kind, chunk: p.chunks[at], odd: odd[i]})...)
		}
	}
	return out
}

// Score implements engine.Detector.
func (j *Injection) Score(ctx context.Context, o engine.Observation) ([]engine.Finding, error) {
	j.mu.Lock()
	seen := j.read(o)
	if len(seen) == 0 {
		j.mu.Unlock()
		return nil, nil
	}
	s := worst(seen)
	f := j.judge(o, s, engine.Finding{Type: engine.PromptInjection, Detector: j.Name(), Subject: carrier(&o.Trace.Spans[s.span])})
	j.mu.Unlock()
	what := "a sentence of a document"
	if s.kind == engine.TextToolResult {
		what = "a sentence of a tool's result"
	}
	if err := j.explain(ctx, o, s, what, &f); err != nil {
		return nil, err
	}
	return []engine.Finding{f}, nil
}

// carrier is what brought a text in: the tool, or the service that retrieved it.
func carrier(s *engine.Span) engine.Subject {
	if s.Tool.Name != "" {
		return engine.Subject{Kind: engine.SubjectTool, Value: s.Tool.Name}
	}
	return engine.Subject{Kind: engine.SubjectService, Value: s.Service}
}

// Learn implements engine.Detector.
func (j *Injection) Learn(_ context.Context, o engine.Observation) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	seen := j.read(o)
	if !j.fresh(o) || len(seen) == 0 {
		return nil
	}
	j.calibrate(o, worst(seen))
	j.learnCalm(seen)
	for _, p := range passages(o.Texts, engine.TextDocument, engine.TextToolResult) {
		_, pairs := sentencePairs(p.text)
		j.of(groupKey{Service: o.Trace.Spans[p.span].Service}).Wording.learn(pairs)
	}
	return nil
}

// LearnAttack implements engine.AttackLearner.
func (j *Injection) LearnAttack(kind engine.TextKind, text string) {
	if kind != engine.TextDocument && kind != engine.TextToolResult {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, u := range units(text) {
		for _, s := range j.suspects(u, suspect{}) {
			j.classifier.learn(s.values, true)
		}
	}
}
