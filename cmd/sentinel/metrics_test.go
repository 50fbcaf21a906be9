package main

import (
	"bytes"
	"net/http"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/deploy/stack/stacktest"
)

// Prometheus' own checker finds nothing to say about the metrics of a service that has worked.
func TestServeMetricsPassPromtool(t *testing.T) {
	t.Parallel()
	promtool := stacktest.Require(t, "SENTINEL_PROMTOOL")
	s := serve(t, nil)
	_, sent := errorBurst("helpdesk")
	s.send(t, sent)
	s.incident(t)
	s.do(t, http.MethodPost, s.otlp+"/v1/traces", "application/json", []byte("{")) // a refusal is counted too
	for _, path := range []string{"/metrics", "/api/v1/metrics"} {
		status, _, page := s.do(t, http.MethodGet, s.api+path, "", nil)
		require.Equal(t, http.StatusOK, status)
		for _, name := range []string{
			`sentinel_anomalies_detected_total{severity="critical"}`, `sentinel_detection_latency_seconds_bucket`,
			`sentinel_ingest_requests_total{code="invalid",protocol="http",signal="traces"} 1`,
		} {
			require.Contains(t, string(page), name)
		}
		check := exec.CommandContext(t.Context(), promtool, "check", "metrics")
		check.Stdin = bytes.NewReader(page)
		said, err := check.CombinedOutput()
		require.NoError(t, err, "%s", said)
		require.Empty(t, string(said))
	}
}
