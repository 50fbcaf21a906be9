package otlp

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/ingest/genai"
)

// The signals of OTLP and the protocols, as labels.
const (
	signalTraces  = "traces"
	signalLogs    = "logs"
	signalMetrics = "metrics"

	protocolGRPC = "grpc"
	protocolHTTP = "http"
)

const codeOK = "ok"

type metrics struct {
	requests *prometheus.CounterVec
	spans    prometheus.Counter
	records  prometheus.Counter
	skipped  *prometheus.CounterVec
	rejected *prometheus.CounterVec
	mended   *prometheus.CounterVec
	cut      prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "sentinel", Subsystem: "ingest", Name: name, Help: help}
	}
	m := &metrics{
		requests: prometheus.NewCounterVec(counter("requests_total", "OTLP requests answered."), []string{"protocol", "signal", "code"}),
		spans:    prometheus.NewCounter(counter("spans_total", "Spans accepted.")),
		records:  prometheus.NewCounter(counter("log_records_total", "GenAI log records accepted: texts of spans, a span's records of one request counted once, and evaluations.")),
		skipped:  prometheus.NewCounterVec(counter("skipped_total", "Log records and metric points that hold nothing for Sentinel."), []string{"signal"}),
		rejected: prometheus.NewCounterVec(counter("rejected_total", "Spans and log records refused, by the field that was wrong."), []string{"reason"}),
		mended:   prometheus.NewCounterVec(counter("mended_total", "Values mended on arrival: numbers ignored, spans that ended before they started, invalid UTF-8."), []string{"kind"}),
		cut:      prometheus.NewCounter(counter("cut_total", "Texts and lists cut to their limit.")),
	}
	for _, signal := range []string{signalTraces, signalLogs, signalMetrics} {
		for _, protocol := range []string{protocolGRPC, protocolHTTP} {
			for _, code := range []engine.Code{codeOK, engine.CodeInvalid, engine.CodeTooLarge, engine.CodeUnauthorized, engine.CodeFull, engine.CodeUnavailable, engine.CodeInternal} {
				m.requests.WithLabelValues(protocol, signal, string(code))
			}
		}
	}
	m.skipped.WithLabelValues(signalLogs)
	m.skipped.WithLabelValues(signalMetrics)
	for _, reason := range genai.Reasons {
		m.rejected.WithLabelValues(string(reason))
	}
	for _, kind := range []string{"number", "duration", "utf8"} {
		m.mended.WithLabelValues(kind)
	}
	for _, c := range []prometheus.Collector{m.requests, m.spans, m.records, m.skipped, m.rejected, m.mended, m.cut} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("otlp: register metrics: %w", err)
		}
	}
	return m, nil
}

// observe counts what became of the content of a request that was accepted.
func (m *metrics) observe(res genai.Result) {
	m.spans.Add(float64(len(res.Spans)))
	m.records.Add(float64(len(res.Contents) + len(res.Evaluations)))
	m.skipped.WithLabelValues(signalLogs).Add(float64(res.Stats.Skipped))
	for _, r := range res.Rejected {
		m.rejected.WithLabelValues(string(r.Reason)).Inc()
	}
	m.mended.WithLabelValues("number").Add(float64(res.Stats.Ignored))
	m.mended.WithLabelValues("duration").Add(float64(res.Stats.Reversed))
	m.mended.WithLabelValues("utf8").Add(float64(res.Stats.Repaired))
	m.cut.Add(float64(res.Stats.Cut))
}
