package explain

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	notes  *prometheus.CounterVec
	tokens *prometheus.CounterVec
	cost   prometheus.Counter
}

// newMetrics registers the room's metrics. author is the language model's, "" when there is none.
func newMetrics(registry prometheus.Registerer, author string) (*metrics, error) {
	m := &metrics{
		notes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sentinel_explain_notes_total",
			Help: "Notes written, by author and by why the deterministic note stands in for a language model's.",
		}, []string{"author", "fallback"}),
		tokens: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sentinel_explain_llm_tokens_total",
			Help: "Tokens that the language model was charged for, by direction.",
		}, []string{"direction"}),
		cost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sentinel_explain_llm_cost_total",
			Help: "Money spent on the language model, in the currency of the configured prices.",
		}),
	}
	for _, c := range []prometheus.Collector{m.notes, m.tokens, m.cost} {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("explain: register metrics: %w", err)
		}
	}
	m.notes.WithLabelValues(Deterministic, "")
	if author != "" {
		m.notes.WithLabelValues(author, "")
		for _, reason := range Fallbacks {
			m.notes.WithLabelValues(Deterministic, reason)
		}
		m.tokens.WithLabelValues("input")
		m.tokens.WithLabelValues("output")
	}
	return m, nil
}
