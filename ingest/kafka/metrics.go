package kafka

import (
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/ingest/genai"
)

// maxPartitionLabels bounds the series a topic: partitions from this number on share the label "other".
const maxPartitionLabels = 256

type metrics struct {
	messages    *prometheus.CounterVec
	spans       *prometheus.CounterVec
	records     *prometheus.CounterVec
	events      *prometheus.CounterVec
	skipped     *prometheus.CounterVec
	rejected    *prometheus.CounterVec
	retried     *prometheus.CounterVec
	letters     *prometheus.CounterVec
	expired     *prometheus.CounterVec
	waits       *prometheus.CounterVec
	commits     *prometheus.CounterVec
	generations *prometheus.CounterVec
	inFlight    prometheus.Gauge
	bytes       prometheus.Gauge
}

// newMetrics registers the metrics, and s as the collector of what is told by partition.
func newMetrics(reg prometheus.Registerer, topics []Topic, s *Source) (*metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "sentinel", Subsystem: "ingest_kafka", Name: name, Help: help}, labels)
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "sentinel", Subsystem: "ingest_kafka", Name: name, Help: help})
	}
	m := &metrics{
		messages:    counter("messages_total", "Messages done with: handed over and stored, empty, or dead letters.", "topic"),
		spans:       counter("spans_total", "Spans handed over.", "topic"),
		records:     counter("log_records_total", "GenAI log records handed over: texts of spans, a span's records of one message counted once, and evaluations.", "topic"),
		events:      counter("security_events_total", "Security events handed over.", "topic"),
		skipped:     counter("skipped_total", "Log records and metrics that hold nothing for Sentinel.", "topic"),
		rejected:    counter("rejected_total", "Spans and log records refused in messages that were read, by the field that was wrong.", "topic", "reason"),
		retried:     counter("retried_total", "Messages that were handed over and failed, and are read again.", "topic"),
		letters:     counter("dead_letters_total", "Messages written to the dead-letter topic.", "topic", "reason"),
		expired:     counter("expired_total", "Messages that the brokers deleted before they were read or stored.", "topic"),
		waits:       counter("waits_total", "Times that a message had to wait because the engine did not take it.", "topic", "code"),
		commits:     counter("commits_total", "Commits of offsets.", "group", "outcome"),
		generations: counter("generations_total", "Times that the group was balanced with this member in it.", "group"),
		inFlight:    gauge("in_flight_messages", "Messages handed over and not done."),
		bytes:       gauge("in_flight_bytes", "Bytes of messages handed over and not done."),
	}
	for _, t := range topics {
		for _, c := range []*prometheus.CounterVec{m.messages, m.spans, m.records, m.events, m.skipped, m.retried, m.expired} {
			c.WithLabelValues(t.Name)
		}
		for _, why := range reasons {
			m.letters.WithLabelValues(t.Name, string(why))
		}
		for _, why := range genai.Reasons {
			m.rejected.WithLabelValues(t.Name, string(why))
		}
		for _, code := range []engine.Code{engine.CodeFull, engine.CodeUnavailable, engine.CodeInternal} {
			m.waits.WithLabelValues(t.Name, string(code))
		}
		m.commits.WithLabelValues(t.Group, outcomeOK)
		m.commits.WithLabelValues(t.Group, outcomeFailed)
		m.generations.WithLabelValues(t.Group)
	}
	for _, c := range []prometheus.Collector{
		m.messages, m.spans, m.records, m.events, m.skipped, m.rejected, m.retried, m.letters, m.expired, m.waits, m.commits, m.generations,
		m.inFlight, m.bytes, partitionCollector{s},
	} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("kafka: register metrics: %w", err)
		}
	}
	return m, nil
}

const (
	outcomeOK     = "ok"
	outcomeFailed = "failed"
)

// observe counts what was handed over.
func (m *metrics) observe(topic string, c content) {
	m.spans.WithLabelValues(topic).Add(float64(len(c.Spans)))
	m.records.WithLabelValues(topic).Add(float64(len(c.Contents) + len(c.Evaluations)))
	m.events.WithLabelValues(topic).Add(float64(len(c.events)))
	m.skipped.WithLabelValues(topic).Add(float64(c.Stats.Skipped))
	for _, r := range c.Rejected {
		m.rejected.WithLabelValues(topic, string(r.Reason)).Inc()
	}
}

var (
	lagDesc = prometheus.NewDesc("sentinel_ingest_kafka_lag_messages",
		"Messages of a partition of this member that are not done.", []string{"topic", "partition"}, nil)
	ageDesc = prometheus.NewDesc("sentinel_ingest_kafka_commit_age_seconds",
		"For how long the message that the next commit waits for has been under way, 0 when none is.", []string{"topic", "partition"}, nil)
)

// partitionCollector tells how far each partition of this member is. Partitions that others have got are not told.
type partitionCollector struct{ source *Source }

// Describe implements prometheus.Collector.
func (c partitionCollector) Describe(out chan<- *prometheus.Desc) {
	out <- lagDesc
	out <- ageDesc
}

// Collect implements prometheus.Collector.
func (c partitionCollector) Collect(out chan<- prometheus.Metric) {
	type sum struct {
		lag int64
		age time.Duration
	}
	now := time.Now()
	sums := map[[2]string]sum{}
	for _, g := range c.source.groups {
		for at, w := range g.assigned() {
			label := "other"
			if at.partition < maxPartitionLabels {
				label = strconv.Itoa(at.partition)
			}
			key := [2]string{at.topic, label}
			lag, age := w.lag(now)
			sums[key] = sum{sums[key].lag + lag, max(sums[key].age, age)}
		}
	}
	for key, s := range sums {
		out <- prometheus.MustNewConstMetric(lagDesc, prometheus.GaugeValue, float64(s.lag), key[0], key[1])
		out <- prometheus.MustNewConstMetric(ageDesc, prometheus.GaugeValue, s.age.Seconds(), key[0], key[1])
	}
}
