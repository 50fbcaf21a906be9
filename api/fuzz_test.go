package api

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Whatever is sent, the answer is a verdict or a problem of the sender's, and the span that is scored is sound.
func FuzzDetect(f *testing.F) {
	f.Add([]byte(`{"metrics":{"latency_ms":4200,"input_tokens":1,"error":1},"context":{"service":"checkout","prompt":"hi"}}`))
	f.Add([]byte(`{"metrics":{"latency_seconds":31536000,"cost":1e12,"time_to_first_chunk_ms":0.1}}`))
	f.Add([]byte(`{"metrics":{"cost":-0}}`))
	f.Add([]byte(`{"metrics":{"cost":1e999},"context":null}`))
	f.Add([]byte(`[[[[`))
	f.Add([]byte("{\"context\":{\"prompt\":\"\xff\\u0000\"}}"))
	b := newBackend()
	s := newServer(f, b)
	f.Fuzz(func(t *testing.T, body []byte) {
		b.scored = nil
		w := send(s, "POST", "/api/v1/detect", string(body), "Content-Type", mediaJSON)
		require.True(t, json.Valid(w.Body.Bytes()))
		if w.Code != http.StatusOK {
			require.Contains(t, []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge}, w.Code)
			require.Empty(t, b.scored)
			return
		}
		span := b.scored[0].Spans[0]
		require.False(t, span.End.Before(span.Start))
		require.GreaterOrEqual(t, span.Usage.Total(), int64(0))
		require.GreaterOrEqual(t, span.Usage.Cost, 0.0)
		require.GreaterOrEqual(t, span.TimeToFirstChunk, time.Duration(0))
		require.NotEmpty(t, span.Service)
	})
}

// Whatever is asked, a query that is accepted is within its bounds.
func FuzzQuery(f *testing.F) {
	f.Add("from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z&severity=high&limit=1000")
	f.Add("status=open&cursor=abc&type=latency_spike")
	f.Add("limit=%31&service=%00")
	f.Add("a;b&&=")
	f.Fuzz(func(t *testing.T, raw string) {
		if q, err := parseAnomalyQuery(raw); err == nil {
			require.True(t, q.Limit >= 1 && q.Limit <= maxLimit)
			require.True(t, q.From.IsZero() || q.To.IsZero() || q.From.Before(q.To))
			require.LessOrEqual(t, len(q.Service), maxName)
		} else {
			requireClientError(t, err)
		}
		if q, err := parseIncidentQuery(raw); err == nil {
			require.True(t, q.Limit >= 1 && q.Limit <= maxLimit)
			_, err := url.ParseQuery(raw)
			require.NoError(t, err)
		} else {
			requireClientError(t, err)
		}
	})
}

func requireClientError(t *testing.T, err error) {
	t.Helper()
	known, _ := describe(err)
	require.Equal(t, http.StatusBadRequest, known.status)
}
