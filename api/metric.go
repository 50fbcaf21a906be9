package api

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/llm-sentinel/llm-sentinel/api/hook"
)

// metrics are about the API itself. Labels come from fixed sets: a route as registered or "unmatched", a method of HTTP or
// "other", a status code.
type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	hooks    *prometheus.CounterVec
}

func newMetrics(registerer prometheus.Registerer, stream *Hub) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sentinel_api_requests_total",
			Help: "Requests to the REST API, by route, method and status code.",
		}, []string{"route", "method", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "sentinel_api_request_duration_seconds",
			Help:    "Time from the arrival of a request's header to the end of its answer, by route.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120},
		}, []string{"route"}),
		hooks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sentinel_api_webhook_deliveries_total",
			Help: "Deliveries of webhooks, by source and by what they came to.",
		}, []string{"source", "result"}),
	}
	for _, source := range hook.Sources {
		for _, result := range []string{hookMarked, hookIgnored, hookPing, hookRefused, hookFailed} {
			m.hooks.WithLabelValues(source, result)
		}
	}
	collectors := []prometheus.Collector{m.requests, m.duration, m.hooks}
	if stream != nil {
		collectors = append(collectors, stream.collectors()...)
	}
	for _, collector := range collectors {
		if err := registerer.Register(collector); err != nil {
			return nil, fmt.Errorf("api: register metrics: %w", err)
		}
	}
	return m, nil
}

var knownMethods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
}

func (m *metrics) observe(route, method string, status int, took time.Duration) {
	if route == "" {
		route = "unmatched"
	}
	if !slices.Contains(knownMethods, method) {
		method = "other"
	}
	m.requests.WithLabelValues(route, method, strconv.Itoa(status)).Inc()
	if status != http.StatusSwitchingProtocols { // a stream takes as long as its client likes
		m.duration.WithLabelValues(route).Observe(took.Seconds())
	}
}

func (h *Hub) collectors() []prometheus.Collector {
	counter := func(name, help string, value func() uint64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(value()) })
	}
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "sentinel_api_stream_clients", Help: "Clients that follow the stream of changes."},
			func() float64 { return float64(h.connected()) }),
		counter("sentinel_api_stream_messages_total", "Changes handed to clients of the stream.", h.sent.Load),
		counter("sentinel_api_stream_slow_clients_total", "Clients of the stream let go because they were too far behind.", h.slow.Load),
		counter("sentinel_api_stream_refused_clients_total", "Clients refused because as many as may follow the stream.", h.refused.Load),
	}
}
