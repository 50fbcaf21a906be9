package response

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Exposure implements engine.Detector for personal data and keys in an answer. What the user typed is no exposure when it is said back.
// Each kind has its own proportion: a shop's assistant that tells mail addresses all day does not make card numbers normal.
type Exposure struct {
	*rates
	redactor engine.Redactor
}

// kinds are those that are told apart, the gravest first.
var kinds = []engine.SensitiveKind{
	engine.SensitiveKey, engine.SensitiveCard, engine.SensitiveIBAN, engine.SensitivePhone, engine.SensitiveEmail, engine.SensitiveIP,
}

// NewExposure returns a detector that has seen nothing. It finds what the redactor finds.
func NewExposure(cfg Config, redactor engine.Redactor) (*Exposure, error) {
	r, err := newRates(cfg, len(kinds))
	if err != nil {
		return nil, err
	}
	return &Exposure{r, redactor}, nil
}

// Name implements engine.Detector.
func (e *Exposure) Name() string { return "exposure" }

// Score implements engine.Detector.
func (e *Exposure) Score(_ context.Context, o engine.Observation) ([]engine.Finding, error) {
	span, text := Last(o.Trace, e.cfg.MaxBytes)
	if span == nil {
		return nil, nil
	}
	f := finding(engine.PIIExposure, e.Name(), o.Trace, span)
	shown := e.exposed(o.Trace, text)
	f.Effect = engine.Effect{Unit: engine.UnitProportion}
	if f.Raw = float64(shown); shown != 0 {
		f.Effect.Current = 1
	}
	worst := 2.0
	for i, kind := range kinds {
		rate, ok := e.rate(span.Service, i)
		f.Learning = f.Learning || !ok
		if !ok || shown&(1<<i) == 0 {
			continue
		}
		// As many looks as there are kinds.
		if p := min(1, float64(len(kinds))*chance(rate, o.Trace.ID)); p < worst {
			worst = p
			f.P, f.Material, f.Spans = p, true, []engine.SpanID{span.SpanID}
			f.Effect.Baseline = rate
			f.Reason = fmt.Sprintf("the answer holds %s that the user did not type; %.2g %% of the answers of %s do",
				strings.ReplaceAll(string(kind), "_", " ")+" data", 100*rate, span.Service)
		}
	}
	return []engine.Finding{f}, nil
}

// exposed is the set of kinds in an answer of which the user typed no such value, a bit each.
func (e *Exposure) exposed(t *engine.Trace, text string) int {
	_, found := e.redactor.Redact(text)
	if len(found) == 0 {
		return 0
	}
	var typed strings.Builder
	for i := range t.Spans {
		for _, m := range t.Spans[i].Input {
			if m.Role == "user" {
				typed.WriteString(m.Text())
				typed.WriteByte('\n')
			}
		}
	}
	set := 0
	for _, f := range found {
		if value := text[f.Start:f.End]; !strings.Contains(typed.String(), value) {
			if i := slices.Index(kinds, f.Kind); i >= 0 {
				set |= 1 << i
			}
		}
	}
	return set
}

// Learn implements engine.Detector. A trace that had to wait in the store has lost which kinds it showed: it teaches nothing.
func (e *Exposure) Learn(_ context.Context, o engine.Observation) error {
	if f, said := o.Own(e.Name()); said && (f.Raw > 0 || f.Effect.Current == 0) {
		for i := range kinds {
			e.learn(f.Series.Service, i, o.Trace.End(), int(f.Raw)&(1<<i) != 0)
		}
	}
	return nil
}
