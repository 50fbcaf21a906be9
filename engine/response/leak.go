package response

import (
	"context"
	"fmt"
	"hash/maphash"
	"strings"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Leak implements engine.Detector for answers that give away what instructs the model: a run of words of the system prompt, or a canary.
// The type is security_pattern, since somebody asked for it, and one is an incident: the subject is who asked. A canary is certain; what
// is quoted of the system prompt is compared with how often the service does that, since some prompts are templates of answers.
type Leak struct {
	*rates
	seed maphash.Seed
}

// NewLeak returns a detector that has seen nothing.
func NewLeak(cfg Config) (*Leak, error) {
	r, err := newRates(cfg, 1)
	if err != nil {
		return nil, err
	}
	return &Leak{r, maphash.MakeSeed()}, nil
}

// Name implements engine.Detector.
func (l *Leak) Name() string { return "leak" }

// certain is the p-value of a canary in an answer.
const certain = 1e-12

// Score implements engine.Detector.
func (l *Leak) Score(_ context.Context, o engine.Observation) ([]engine.Finding, error) {
	span, text := Last(o.Trace, l.cfg.MaxBytes)
	if span == nil {
		return nil, nil
	}
	f := finding(engine.SecurityPattern, l.Name(), o.Trace, span)
	f.Effect = engine.Effect{Unit: engine.UnitProportion}
	f.Subject = span.Caller()
	for _, canary := range l.cfg.Canaries {
		if strings.Contains(text, canary.Reveal()) {
			f.P, f.Material, f.Effect.Current, f.Spans = certain, true, 1, []engine.SpanID{span.SpanID}
			f.Reason = "the answer holds a canary"
			return []engine.Finding{f}, nil
		}
	}
	rate, ok := l.rate(span.Service, 0)
	f.Learning, f.Effect.Baseline = !ok, rate
	words := l.leaked(system(span), text)
	if words < l.cfg.LeakWords {
		return []engine.Finding{f}, nil
	}
	f.Effect.Current = 1
	if ok {
		f.P, f.Material, f.Spans = chance(rate, o.Trace.ID), true, []engine.SpanID{span.SpanID}
		f.Reason = fmt.Sprintf("the answer says %d consecutive words of the system prompt; %.2g %% of the answers of %s do so", words, 100*rate, span.Service)
	}
	return []engine.Finding{f}, nil
}

// Learn implements engine.Detector.
func (l *Leak) Learn(_ context.Context, o engine.Observation) error {
	if f, said := o.Own(l.Name()); said {
		l.learn(f.Series.Service, 0, o.Trace.End(), f.Effect.Current > 0)
	}
	return nil
}

// system is what instructed a model call.
func system(s *engine.Span) string {
	var all []string
	for _, m := range s.System {
		all = append(all, m.Text())
	}
	for _, m := range s.Input {
		if m.Role == "system" || m.Role == "developer" {
			all = append(all, m.Text())
		}
	}
	return strings.Join(all, "\n")
}

// leaked is the longest run of consecutive words that an answer shares with the instructions, 0 below the least that counts: runs are
// compared by rolling hashes of that many words.
func (l *Leak) leaked(instructions, answer string) int {
	told := l.hashes(answer)
	if len(told) == 0 {
		return 0
	}
	known := make(map[uint64]bool)
	for _, h := range l.hashes(instructions[:min(len(instructions), l.cfg.MaxBytes)]) {
		known[h] = true
	}
	run, longest := 0, 0
	for _, h := range told {
		if run++; !known[h] {
			run = 0
		}
		longest = max(longest, run)
	}
	if longest == 0 {
		return 0
	}
	return longest + l.cfg.LeakWords - 1
}

// hashes has one value for each run of LeakWords words.
func (l *Leak) hashes(text string) []uint64 {
	const base = 1_000_003
	n := l.cfg.LeakWords
	words := strings.Fields(strings.ToLower(text))
	if len(words) < n {
		return nil
	}
	drop := uint64(1) // base to the power of n
	for range n {
		drop *= base
	}
	each := make([]uint64, len(words))
	out := make([]uint64, 0, len(words)-n+1)
	var rolling uint64
	for i, w := range words {
		each[i] = maphash.String(l.seed, w)
		rolling = rolling*base + each[i]
		if i >= n {
			rolling -= each[i-n] * drop
		}
		if i >= n-1 {
			out = append(out, rolling)
		}
	}
	return out
}
