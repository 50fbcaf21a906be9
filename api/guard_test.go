package api

import (
	"net/http"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

func TestHostMustBeOurs(t *testing.T) {
	allow := func(c *Config, _ *Deps) { c.AllowedHosts = []string{"Sentinel.example"} }
	anonymous := func(c *Config, d *Deps) { public(c, d); c.AllowAnonymous = true }
	for _, tt := range []struct {
		name      string
		configure []func(*Config, *Deps)
		host      string
		ok        bool
	}{
		{"loopback by name", nil, "localhost:8080", true},
		{"loopback by name in full", nil, "LOCALHOST.", true},
		{"loopback by address", nil, "127.0.0.1", true},
		{"loopback by v6 address", nil, "[::1]:8080", true},
		{"rebound name", nil, "attacker.example:8080", false},
		{"name that starts like ours", nil, "localhost.attacker.example", false},
		{"other address", nil, "192.0.2.1", false},
		{"no host", nil, "", false},
		{"configured name", []func(*Config, *Deps){allow}, "sentinel.EXAMPLE:8080", true},
		{"name that is not configured", []func(*Config, *Deps){allow}, "other.example", false},
		{"public by any name", []func(*Config, *Deps){anonymous}, "other.example", true},
		{"public by address", []func(*Config, *Deps){anonymous, allow}, "192.0.2.1:8080", true},
		{"public by configured name", []func(*Config, *Deps){anonymous, allow}, "sentinel.example", true},
		{"public by other name", []func(*Config, *Deps){anonymous, allow}, "other.example", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := send(newServer(t, newBackend(), tt.configure...), "GET", "/api/v1/services", "", "Host", tt.host)
			if tt.ok {
				require.Equal(t, http.StatusOK, w.Code)
				return
			}
			requireProblem(t, w, http.StatusMisdirectedRequest, "misdirected")
		})
	}
}

func TestOtherSitesCannotWriteOrRead(t *testing.T) {
	b := newBackend()
	s := newServer(t, b)
	const target = "/api/v1/incidents/i-1/resolve"
	requireProblem(t, send(s, "POST", target, "", "Sec-Fetch-Site", "cross-site"), http.StatusForbidden, "cross_origin")
	requireProblem(t, send(s, "POST", target, "", "Origin", "https://attacker.example"), http.StatusForbidden, "cross_origin")
	requireProblem(t, send(s, "POST", target, "a=b", "Content-Type", "application/x-www-form-urlencoded"), http.StatusUnsupportedMediaType, "unsupported_media_type")
	requireProblem(t, send(s, "POST", target, "{}", "Content-Type", "text/plain"), http.StatusUnsupportedMediaType, "unsupported_media_type")
	require.Empty(t, b.actions)
	require.Equal(t, http.StatusOK, send(s, "POST", target, "", "Sec-Fetch-Site", "same-origin", "Origin", "http://localhost:8080").Code)

	w := send(s, "OPTIONS", target, "", "Origin", "https://attacker.example", "Access-Control-Request-Method", "POST")
	requireProblem(t, w, http.StatusMethodNotAllowed, "method_not_allowed")
	w = send(s, "GET", "/api/v1/services", "", "Origin", "https://attacker.example")
	require.Empty(t, w.Header().Get("Access-Control-Allow-Origin"))
}

func TestSecurityHeaders(t *testing.T) {
	s := newServer(t, newBackend())
	for _, target := range []string{"/", "/api/v1/services", "/nowhere", "/ui/app.js"} {
		h := send(s, "GET", target, "").Header()
		require.Equal(t, "nosniff", h.Get("X-Content-Type-Options"))
		require.Equal(t, "DENY", h.Get("X-Frame-Options"))
		require.Contains(t, h.Get("Content-Security-Policy"), "default-src 'none'")
		require.NotContains(t, h.Get("Content-Security-Policy"), "unsafe")
	}
}

// Nothing on the page comes from elsewhere, and nothing on it turns text into markup.
func TestPageIsSelfContainedAndSafe(t *testing.T) {
	s := newServer(t, newBackend())
	for target := range pageFiles {
		body := send(s, "GET", target, "").Body.String()
		require.NotEmpty(t, body)
		for _, bad := range []string{"http://", "https://", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "style=", "onclick="} {
			require.NotContains(t, body, bad, target)
		}
	}
}

func TestUnknownRoutesAndMethods(t *testing.T) {
	s := newServer(t, newBackend())
	requireProblem(t, send(s, "GET", "/api/v1/nothing", ""), http.StatusNotFound, "not_found")
	requireProblem(t, send(s, "GET", "/api/v1/services/", ""), http.StatusNotFound, "not_found")
	w := send(s, "DELETE", "/api/v1/feedback", "")
	requireProblem(t, w, http.StatusMethodNotAllowed, "method_not_allowed")
	require.Equal(t, "POST, GET", w.Header().Get("Allow"))
	requireProblem(t, send(newServer(t, newBackend(), func(_ *Config, d *Deps) { d.OTLP = nil }), "POST", "/v1/traces", "{}"), http.StatusNotFound, "not_found")
}

// Every code of the engine becomes its status; what is internal stays inside.
func TestErrorsBecomeProblems(t *testing.T) {
	for _, tt := range []struct {
		err    error
		status int
		code   string
	}{
		{engine.Errorf(engine.CodeInvalid, "bad"), 400, "invalid"},
		{engine.Errorf(engine.CodeUnauthorized, "no"), 401, "unauthorized"},
		{engine.Errorf(engine.CodeNotFound, "none"), 404, "not_found"},
		{engine.Errorf(engine.CodeConflict, "resolved already"), 409, "conflict"},
		{engine.Errorf(engine.CodeTooLarge, "big"), 413, "too_large"},
		{engine.Errorf(engine.CodeFull, "full"), 429, "full"},
		{engine.Errorf(engine.CodeUnavailable, "down"), 503, "unavailable"},
		{engine.Errorf(engine.CodeInternal, "%w", errBroken), 500, "internal"},
		{errBroken, 500, "internal"},
	} {
		t.Run(tt.code, func(t *testing.T) {
			b := newBackend()
			b.actErr = tt.err
			w := send(newServer(t, b), "POST", "/api/v1/incidents/i-1/acknowledge", "")
			p := requireProblem(t, w, tt.status, tt.code)
			if tt.status == 500 {
				require.NotContains(t, p.Detail, "disk")
			} else {
				require.Equal(t, tt.err.Error(), p.Detail)
			}
			require.Equal(t, tt.status == 429 || tt.status == 503, w.Header().Get("Retry-After") != "")
		})
	}
}

func TestAPanicIsAnAnswer(t *testing.T) {
	b := newBackend()
	b.scorePlug = func() { panic("secret detail") }
	s := newServer(t, b)
	p := requireProblem(t, send(s, "POST", "/api/v1/detect", `{"metrics":{"cost":1}}`), http.StatusInternalServerError, "internal")
	require.NotContains(t, p.Detail, "secret")
	b.scorePlug = nil
	require.Equal(t, http.StatusOK, send(s, "POST", "/api/v1/detect", `{"metrics":{"cost":1}}`).Code, "the slot of the panic is free again")
}

func TestUploadsAreBounded(t *testing.T) {
	b := newBackend()
	entered, release := make(chan struct{}), make(chan struct{})
	b.scorePlug = func() { entered <- struct{}{}; <-release }
	s := newServer(t, b, func(c *Config, _ *Deps) { c.MaxUploads = 1 })
	first := make(chan int)
	go func() { first <- send(s, "POST", "/api/v1/detect", `{"metrics":{"cost":1}}`).Code }()
	<-entered
	w := send(s, "POST", "/api/v1/feedback", `{"incident_id":"i-1","verdict":"true_positive"}`)
	requireProblem(t, w, http.StatusTooManyRequests, "full")
	require.Equal(t, http.StatusOK, send(s, "GET", "/api/v1/services", "").Code, "reading goes on")
	close(release)
	require.Equal(t, http.StatusOK, <-first)
}

func TestMetricsHaveBoundedLabels(t *testing.T) {
	s := newServer(t, newBackend())
	for _, path := range []string{"/a", "/b", "/c"} {
		send(s, "BREW", path, "")
	}
	send(s, "GET", "/api/v1/incidents/i-1", "")
	send(s, "GET", "/api/v1/incidents/i-2", "")
	require.Equal(t, 3.0, testutil.ToFloat64(s.metrics.requests.WithLabelValues("unmatched", "other", "404")))
	require.Equal(t, 1.0, testutil.ToFloat64(s.metrics.requests.WithLabelValues("/api/v1/incidents/:id", "GET", "200")))
	require.Equal(t, 1.0, testutil.ToFloat64(s.metrics.requests.WithLabelValues("/api/v1/incidents/:id", "GET", "404")))
	require.Equal(t, 3, testutil.CollectAndCount(s.metrics.requests))

	exposed := send(s, "GET", "/metrics", "").Body.String()
	require.Contains(t, exposed, "sentinel_api_request_duration_seconds_bucket")
}
