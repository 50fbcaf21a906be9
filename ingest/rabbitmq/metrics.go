package rabbitmq

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// What becomes of a message, and of a connection.
const (
	acknowledged = "acknowledged"
	requeued     = "requeued"
	deadLettered = "dead_lettered"

	opened = "opened"
	failed = "failed"
	lost   = "lost"
)

type metrics struct {
	messages    *prometheus.CounterVec
	connections *prometheus.CounterVec
	connected   prometheus.Gauge
	unsettled   prometheus.Gauge
	hold        prometheus.Histogram
}

func newMetrics(queues []queue, reg prometheus.Registerer) (*metrics, error) {
	const room = "sentinel_ingest_rabbitmq_"
	m := &metrics{
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: room + "messages_total", Help: "Messages settled, by what became of them."}, []string{"queue", "outcome"}),
		connections: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: room + "connections_total", Help: "Connections that were opened, could not be opened, or were lost."}, []string{"outcome"}),
		connected: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: room + "connected_ratio", Help: "1 while the queues are read, otherwise 0."}),
		unsettled: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: room + "unsettled_messages", Help: "Messages that were read and neither acknowledged nor returned."}),
		hold: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: room + "hold_seconds", Help: "Time from reading a message to acknowledging it.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 9)}),
	}
	for _, c := range []prometheus.Collector{m.messages, m.connections, m.connected, m.unsettled, m.hold} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("rabbitmq: register metrics: %w", err)
		}
	}
	for _, q := range queues {
		for _, outcome := range []string{acknowledged, requeued, deadLettered} {
			m.messages.WithLabelValues(q.name, outcome)
		}
	}
	for _, outcome := range []string{opened, failed, lost} {
		m.connections.WithLabelValues(outcome)
	}
	return m, nil
}
