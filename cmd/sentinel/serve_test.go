package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/llm-sentinel/llm-sentinel/cmd/sentinel/app"
	"github.com/llm-sentinel/llm-sentinel/engine"
)

// patience is how long anything may take before a test gives up: far longer than it takes on a slow machine.
const patience = 2 * time.Minute

// server is a running service, in this process or in another.
type server struct {
	api, otlp, grpc string // URLs; the last is host:port
	key             string
	http            *http.Client
}

// serve runs the whole service in this process until the test ends. change may adjust the embedded configuration.
func serve(t *testing.T, change func(*app.Config)) *server {
	t.Helper()
	cfg, err := app.DefaultConfig()
	require.NoError(t, err)
	cfg.DataDir = t.TempDir()
	cfg.API.Listen, cfg.OTLP.GRPC, cfg.OTLP.HTTP = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	if change != nil {
		change(&cfg)
	}
	a, err := app.New(t.Context(), cfg, app.Options{Version: "test", Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	s := newServer(t, nil)
	t.Cleanup(sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-done, "it stops in order")
	}))
	ready, stop := context.WithTimeout(ctx, patience)
	defer stop()
	addrs, err := a.Addrs(ready)
	require.NoError(t, err)
	s.api, s.otlp, s.grpc = "http://"+addrs.API, "http://"+addrs.HTTP, addrs.GRPC
	return s
}

func newServer(t *testing.T, transport *http.Transport) *server {
	if transport == nil {
		transport = &http.Transport{}
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &server{http: &http.Client{Transport: transport, Timeout: patience}}
}

// do sends a request and reads the answer.
func (s *server) do(t *testing.T, method, url, contentType string, body []byte) (int, http.Header, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	require.NoError(t, err)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if s.key != "" {
		req.Header.Set("Authorization", "Bearer "+s.key)
	}
	resp, err := s.http.Do(req)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }() // it was only read
	answer, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, resp.Header, answer
}

// get reads JSON from the API.
func (s *server) get(t *testing.T, path string, into any) {
	t.Helper()
	status, _, body := s.do(t, http.MethodGet, s.api+path, "", nil)
	require.Equal(t, http.StatusOK, status, "%s: %s", path, body)
	require.NoError(t, json.Unmarshal(body, into))
}

// send exports traces over OTLP/HTTP, each by itself, and again while the receiver asks to come back.
func (s *server) send(t *testing.T, all []ptrace.Traces) {
	t.Helper()
	p := player{otlp: s.otlp, client: s.http}
	for _, td := range all {
		body, err := marshalTraces(td)
		require.NoError(t, err)
		require.NoError(t, p.post(t.Context(), s.otlp+"/v1/traces", "application/x-protobuf", body))
	}
}

// service is what the API says of one service; nothing when it does not know it.
func (s *server) service(t *testing.T, name string) engine.ServiceHealth {
	t.Helper()
	var page engine.Page[engine.ServiceHealth]
	s.get(t, "/api/v1/services", &page)
	for _, x := range page.Items {
		if x.Service == name {
			return x
		}
	}
	return engine.ServiceHealth{}
}

// incident waits for the first incident with a note, which must be the only one.
func (s *server) incident(t *testing.T) engine.Incident {
	t.Helper()
	c := client{base: s.api, key: s.key, http: s.http}
	var in engine.Incident
	eventually(t, "an incident with a note", func() bool {
		page, err := c.incidents(t.Context(), "")
		require.NoError(t, err)
		if len(page.Items) == 0 {
			return false
		}
		require.Len(t, page.Items, 1)
		in, err = c.incident(t.Context(), page.Items[0].ID)
		require.NoError(t, err)
		return in.Explanation != nil
	})
	return in
}

// eventually asks again until something is true.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(10 * time.Millisecond) {
		require.True(t, time.Now().Before(deadline), "no %s after %s", what, patience)
	}
}

// errorBurst is five hours of calm traffic, then twenty minutes in which most calls fail, then twenty calm ones: the
// incident is open at the end.
// Its traffic can go on from there.
func errorBurst(service string) (*traffic, []ptrace.Traces) {
	f := newTraffic(service, time.Now().Add(-48*time.Hour).Truncate(time.Hour))
	f.silent = true
	calls := f.calls(600, 30*time.Second, nil)
	calls = append(calls, f.calls(120, 10*time.Second, failing)...)
	return f, append(calls, f.calls(40, 30*time.Second, nil)...)
}

// Traffic goes in through OTLP, and an explained incident comes out of the API.
func TestServeFindsAnErrorBurst(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	_, sent := errorBurst("helpdesk")
	s.send(t, sent)
	in := s.incident(t)
	require.Equal(t, engine.ErrorRate, in.Type)
	require.Equal(t, engine.Subject{Kind: engine.SubjectProvider, Value: "example"}, in.Subject)
	require.Equal(t, "deterministic", in.Explanation.Author)
	require.Contains(t, in.Explanation.Note, "example")
	eventually(t, "sight of all spans", func() bool { return s.service(t, "helpdesk").Spans == uint64(len(sent)) })
}
