package response

import (
	"context"
	"fmt"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Habit implements engine.Detector for something that a healthy model seldom does, such as to refuse. One answer that does it is little;
// surges find a service of which many do. What does it is a regression of the model, its prompt or its settings.
type Habit struct {
	*rates
	name string
	what string // as in "the answer ..."
	// does tells whether an answer does it; known is false where that cannot be told, and then nothing is said or learnt.
	does func(s *engine.Span, text string) (did, known bool)
}

// NewHabits returns the detectors of this kind, which have seen nothing.
func NewHabits(cfg Config) ([]*Habit, error) {
	out := []*Habit{
		{name: "refusals", what: "was refused", does: func(s *engine.Span, _ string) (bool, bool) { return Refuses(s), true }},
		{name: "truncation", what: "was cut off", does: truncated},
		{name: "repetition", what: "repeats itself", does: repeats},
		{name: "language", what: "is in another language than the question", does: switches},
	}
	for _, h := range out {
		var err error
		if h.rates, err = newRates(cfg, 1); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Name implements engine.Detector.
func (h *Habit) Name() string { return h.name }

// Score implements engine.Detector.
func (h *Habit) Score(_ context.Context, o engine.Observation) ([]engine.Finding, error) {
	span, text := Last(o.Trace, h.cfg.MaxBytes)
	if span == nil {
		if span = withheld(o.Trace); span == nil {
			return nil, nil
		}
	}
	did, known := h.does(span, text)
	if !known {
		return nil, nil
	}
	f := finding(engine.ModelRegression, h.name, o.Trace, span)
	rate, ok := h.rate(span.Service, 0)
	f.Learning = !ok
	f.Effect = engine.Effect{Baseline: rate, Unit: engine.UnitProportion}
	if !did {
		return []engine.Finding{f}, nil
	}
	f.Effect.Current = 1
	if ok {
		f.P, f.Material = chance(rate, o.Trace.ID), true
		f.Spans = []engine.SpanID{span.SpanID}
		f.Reason = fmt.Sprintf("the answer %s, as %.2g %% of the answers of %s are", h.what, 100*rate, span.Service)
	}
	return []engine.Finding{f}, nil
}

// Learn implements engine.Detector.
func (h *Habit) Learn(_ context.Context, o engine.Observation) error {
	if f, said := o.Own(h.name); said {
		h.learn(f.Series.Service, 0, o.Trace.End(), f.Effect.Current > 0)
	}
	return nil
}

// finding is what all detectors here say at first: nothing remarkable.
func finding(about engine.AnomalyType, detector string, t *engine.Trace, s *engine.Span) engine.Finding {
	return engine.Finding{
		Type: about, Detector: detector, Series: s.Series(), Subject: engine.Subject{Kind: engine.SubjectService, Value: s.Service},
		At: t.End(), TraceID: t.ID, SpanID: s.SpanID, P: 1,
	}
}

// withheld is a model call whose answer was blocked, so that there is no text.
func withheld(t *engine.Trace) *engine.Span {
	for i := range t.Spans {
		if s := &t.Spans[i]; s.Operation.IsModelCall() && !s.Failed && Refuses(s) {
			return s
		}
	}
	return nil
}

// truncated reports whether an answer ended because it reached the limit of its length. Where no reason was recorded it is not known.
func truncated(s *engine.Span, _ string) (did, known bool) {
	reasons := finished(s)
	for _, reason := range reasons {
		switch reason {
		case "length", "max_tokens", "max_output_tokens", "model_length":
			return true, true
		}
	}
	return false, len(reasons) > 0
}
