package notify

import "github.com/prometheus/client_golang/prometheus"

// The ways a delivery can end, and one in which it goes on.
const (
	resultDelivered = "delivered"
	resultFailed    = "failed"  // to be tried again
	resultDead      = "dead"    // given up
	resultSkipped   = "skipped" // left out for later news, or an escalation that nobody needed any more
)

type metrics struct {
	deliveries *prometheus.CounterVec
	attempts   *prometheus.HistogramVec
	waiting    *prometheus.GaugeVec
	oldest     *prometheus.GaugeVec
}

func newMetrics(r prometheus.Registerer, receivers []string) (*metrics, error) {
	m := &metrics{
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sentinel_notify_deliveries_total", Help: "Attempts at a delivery by their result; skipped ones were not attempted."},
			[]string{"receiver", "result"}),
		attempts: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sentinel_notify_attempt_seconds", Help: "How long an attempt took.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 9)}, []string{"receiver"}),
		waiting: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "sentinel_notify_waiting_items", Help: "Deliveries that are not done, those of muted times and of later escalations among them."},
			[]string{"receiver"}),
		oldest: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "sentinel_notify_oldest_waiting_seconds", Help: "For how long the oldest delivery has been wanted and not been done."},
			[]string{"receiver"}),
	}
	for _, c := range []prometheus.Collector{m.deliveries, m.attempts, m.waiting, m.oldest} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	for _, name := range receivers {
		for _, result := range []string{resultDelivered, resultFailed, resultDead, resultSkipped} {
			m.deliveries.WithLabelValues(name, result)
		}
		m.attempts.WithLabelValues(name)
		m.waiting.WithLabelValues(name)
		m.oldest.WithLabelValues(name)
	}
	return m, nil
}
