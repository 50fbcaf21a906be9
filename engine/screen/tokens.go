package screen

import (
	"fmt"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// tokensOfTrace compares the tokens of each model call with its series.
func (s *Screen) tokensOfTrace(t *engine.Trace) (engine.Finding, bool) {
	f, ok := s.worstSpan(t, engine.Finding{Type: engine.TokenAbuse, Detector: "tokens"}, func(span *engine.Span, base *baseline) (float64, engine.Effect, bool, bool) {
		x := float64(span.Usage.Total())
		if x == 0 {
			return 1, engine.Effect{}, false, false
		}
		if base.Tokens.Learning() {
			return 1, engine.Effect{}, false, true
		}
		e := engine.Effect{Baseline: base.Tokens.Median(), Current: x, Unit: "tokens"}
		return base.Tokens.UpperP(x), e, e.Ratio() >= s.cfg.TokenRatio && x-e.Baseline >= float64(s.cfg.TokenExcess), false
	}, func(span *engine.Span, e engine.Effect) string {
		return fmt.Sprintf("%s used %.0f tokens, normally %.0f", span.Name, e.Current, e.Baseline)
	})
	if ok && !f.Learning {
		for i := range t.Spans {
			if t.Spans[i].SpanID == f.SpanID {
				f.Subject = spender(&t.Spans[i])
			}
		}
	}
	return f, ok
}

// spender is whom the tokens of a span are laid to: the user, else the key, else the tenant, else the service.
func spender(s *engine.Span) engine.Subject {
	switch {
	case s.User != "":
		return engine.Subject{Kind: engine.SubjectUser, Value: s.User}
	case s.APIKey != "":
		return engine.Subject{Kind: engine.SubjectAPIKey, Value: s.APIKey}
	case s.Tenant != "":
		return engine.Subject{Kind: engine.SubjectTenant, Value: s.Tenant}
	}
	return engine.Subject{Kind: engine.SubjectService, Value: s.Service}
}
