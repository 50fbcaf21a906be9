package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// streamServer serves s on a port and gives back where its stream is.
func streamServer(t *testing.T, s *Server) string {
	t.Helper()
	server := httptest.NewServer(s.Handler())
	t.Cleanup(server.Close)
	return "ws" + strings.TrimPrefix(server.URL, "http") + "/api/v1/stream"
}

// dial opens a stream and returns the status of the answer.
func dial(t *testing.T, address string, options *websocket.DialOptions) (*websocket.Conn, int, error) {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	t.Cleanup(transport.CloseIdleConnections)
	if options == nil {
		options = &websocket.DialOptions{}
	}
	options.HTTPClient = &http.Client{Transport: transport}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn, response, err := websocket.Dial(ctx, address, options)
	if conn != nil {
		t.Cleanup(func() { _ = conn.CloseNow() })
	}
	require.NotNil(t, response, "%v", err)
	if response.Body != nil { // nil once the connection is a stream
		_ = response.Body.Close()
	}
	return conn, response.StatusCode, err
}

func sampleAlert(id string) engine.Alert {
	return engine.Alert{ID: id, Change: "raised", Incident: engine.Incident{ID: "i-1", Severity: engine.SeverityLow, Status: engine.StatusOpen}}
}

func TestStream(t *testing.T) {
	s := newServer(t, newBackend())
	address := streamServer(t, s)
	first, status, err := dial(t, address, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusSwitchingProtocols, status)
	second, _, err := dial(t, address, nil)
	require.NoError(t, err)
	s.deps.Stream.Notify(sampleAlert("a-1"))
	schema := loadDocument(t).Components.Schemas["Alert"].Value
	for _, conn := range []*websocket.Conn{first, second} {
		kind, message, err := conn.Read(t.Context())
		require.NoError(t, err)
		require.Equal(t, websocket.MessageText, kind)
		var value any
		require.NoError(t, json.Unmarshal(message, &value))
		require.NoError(t, schema.VisitJSON(value))
		require.Equal(t, "a-1", value.(map[string]any)["alert_id"])
	}
	require.NoError(t, first.Close(websocket.StatusNormalClosure, ""))
	require.Eventually(t, func() bool { return s.deps.Stream.connected() == 1 }, 10*time.Second, time.Millisecond, "who leaves is forgotten")
	exposed := send(s, "GET", "/metrics", "").Body.String()
	require.Contains(t, exposed, "sentinel_api_stream_clients 1")
	require.Contains(t, exposed, "sentinel_api_stream_messages_total 2")
}

func TestStreamNeedsAKey(t *testing.T) {
	b := newBackend()
	reader, ingester := b.addKey(t, "r", engine.ScopeRead), b.addKey(t, "i", engine.ScopeIngest)
	address := streamServer(t, newServer(t, b, func(c *Config, _ *Deps) { c.RequireKeys = true }))
	for name, tt := range map[string]struct {
		options *websocket.DialOptions
		status  int
	}{
		"none":         {nil, http.StatusUnauthorized},
		"wrong scope":  {&websocket.DialOptions{HTTPHeader: http.Header{"X-Api-Key": {ingester}}}, http.StatusForbidden},
		"wrong key":    {&websocket.DialOptions{Subprotocols: []string{"bearer.x"}}, http.StatusUnauthorized},
		"header":       {&websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + reader}}}, http.StatusSwitchingProtocols},
		"as a browser": {&websocket.DialOptions{Subprotocols: []string{"sentinel.v1", "bearer." + reader}}, http.StatusSwitchingProtocols},
	} {
		conn, status, err := dial(t, address, tt.options)
		require.Equal(t, tt.status, status, name)
		require.Equal(t, tt.status == http.StatusSwitchingProtocols, err == nil, name)
		if conn != nil && name == "as a browser" {
			require.Equal(t, "sentinel.v1", conn.Subprotocol())
		}
	}
}

// A stream ends with its key, however long ago it was opened.
func TestStreamEndsWithItsKey(t *testing.T) {
	b := newBackend()
	key := b.addKey(t, "r", engine.ScopeRead)
	s := newServer(t, b, func(c *Config, _ *Deps) { c.RequireKeys = true })
	s.streams.pingEvery = 10 * time.Millisecond
	conn, _, err := dial(t, streamServer(t, s), &websocket.DialOptions{HTTPHeader: http.Header{"X-Api-Key": {key}}})
	require.NoError(t, err)
	b.revokeAll()
	s.auth.verified.Purge() // as after some seconds
	_, _, err = conn.Read(t.Context())
	require.Equal(t, websocket.StatusPolicyViolation, websocket.CloseStatus(err))
}

func TestStreamIsForOurOwnPages(t *testing.T) {
	s := newServer(t, newBackend())
	address := streamServer(t, s)
	for _, header := range []http.Header{{"Origin": {"https://attacker.example"}}, {"Sec-Fetch-Site": {"cross-site"}}} {
		_, status, err := dial(t, address, &websocket.DialOptions{HTTPHeader: header})
		require.Error(t, err)
		require.Equal(t, http.StatusForbidden, status)
	}
	_, _, err := dial(t, address, &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {"http" + strings.TrimSuffix(strings.TrimPrefix(address, "ws"), "/api/v1/stream")}}})
	require.NoError(t, err)

	requireProblem(t, send(s, "GET", "/api/v1/stream", ""), http.StatusUpgradeRequired, "upgrade_required")
	without := newServer(t, newBackend(), func(_ *Config, d *Deps) { d.Stream = nil })
	requireProblem(t, send(without, "GET", "/api/v1/stream", ""), http.StatusNotFound, "not_found")
}

// A client that does not read holds up nobody: it is let go, and told why.
func TestSlowClientsAreLetGo(t *testing.T) {
	hub := NewHub()
	slow, err := hub.subscribe()
	require.NoError(t, err)
	quick, err := hub.subscribe()
	require.NoError(t, err)
	for range streamBuffer + 1 {
		hub.Notify(sampleAlert("a"))
		<-quick.changes
	}
	require.Equal(t, 1, hub.connected())
	require.EqualValues(t, 1, hub.slow.Load())
	for range streamBuffer {
		<-slow.changes
	}
	_, open := <-slow.changes
	require.False(t, open)
	hub.unsubscribe(slow)
	require.Equal(t, 1, hub.connected())

	s := newServer(t, newBackend())
	conn, _, err := dial(t, streamServer(t, s), nil)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return s.deps.Stream.connected() == 1 }, 10*time.Second, time.Millisecond)
	s.deps.Stream.mu.Lock()
	for client := range s.deps.Stream.clients { // as Notify does
		delete(s.deps.Stream.clients, client)
		close(client.changes)
	}
	s.deps.Stream.mu.Unlock()
	_, _, err = conn.Read(t.Context())
	require.Equal(t, websocket.StatusTryAgainLater, websocket.CloseStatus(err))
}

func TestStreamsAreBounded(t *testing.T) {
	s := newServer(t, newBackend())
	for range maxStreams {
		_, err := s.deps.Stream.subscribe()
		require.NoError(t, err)
	}
	_, status, err := dial(t, streamServer(t, s), nil)
	require.Error(t, err)
	require.Equal(t, http.StatusTooManyRequests, status)
	require.EqualValues(t, 1, s.deps.Stream.refused.Load())
}

// The HTTP server forgets the connections of streams; a stop ends them all the same.
func TestStopEndsStreams(t *testing.T) {
	s := newServer(t, newBackend())
	require.NoError(t, s.Listen())
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()
	conn, _, err := dial(t, "ws://"+s.Addr()+"/api/v1/stream", nil)
	require.NoError(t, err)
	stop()
	_, _, err = conn.Read(t.Context())
	require.Equal(t, websocket.StatusGoingAway, websocket.CloseStatus(err))
	require.NoError(t, <-ran)
	require.False(t, s.streams.enter())
}
