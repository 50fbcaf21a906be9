package webhook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/notify"
	"github.com/llm-sentinel/llm-sentinel/notify/webhook"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type request struct {
	method, path string
	header       http.Header
	body         []byte
}

// serve answers with status and keeps the requests.
func serve(t *testing.T, status int) (*httptest.Server, *[]request) {
	t.Helper()
	var got []request
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, request{r.Method, r.URL.String(), r.Header.Clone(), body})
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "because\n")
	}))
	t.Cleanup(server.Close)
	return server, &got
}

func sender(t *testing.T, cfg webhook.Config) *webhook.Notifier {
	t.Helper()
	n, err := webhook.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Close()) })
	return n
}

func TestRequestIsSignedAsDocumented(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed")
	}
	verify := func(r request, secret string) error {
		command := exec.Command(python, "testdata/verify.py", r.header.Get("Sentinel-Signature"), secret)
		command.Stdin = bytes.NewReader(r.body)
		return command.Run()
	}
	server, got := serve(t, http.StatusNoContent)
	n := sender(t, webhook.Config{
		URL: engine.Secret(server.URL + "/hook?token=1"), Secret: "new secret", PreviousSecret: "old secret",
		Headers: notify.Headers{"X-Team": "shop"},
	})
	alert := notify.Sample(time.Now())
	require.NoError(t, n.Notify(context.Background(), alert))
	require.NoError(t, n.Notify(context.Background(), alert))
	require.Len(t, *got, 2)
	r := (*got)[0]
	require.Equal(t, http.MethodPost, r.method)
	require.Equal(t, "/hook?token=1", r.path)
	require.Equal(t, "application/json", r.header.Get("Content-Type"))
	require.Equal(t, "shop", r.header.Get("X-Team"))
	require.Equal(t, notify.AlertID(alert.ID), r.header.Get("Idempotency-Key"))
	require.Equal(t, r.header.Get("Idempotency-Key"), (*got)[1].header.Get("Idempotency-Key"), "receivers tell repeated deliveries by it")
	require.Equal(t, r.body, (*got)[1].body)
	var m notify.Message
	require.NoError(t, json.Unmarshal(r.body, &m))
	require.Equal(t, notify.MessageOf(alert), m)

	require.NoError(t, verify(r, "new secret"))
	require.NoError(t, verify(r, "old secret"))
	require.Error(t, verify(r, "another secret"))
	r.body = append(r.body, ' ')
	require.Error(t, verify(r, "new secret"), "the body is part of what is signed")
	r.body = r.body[:len(r.body)-1]
	r.header.Set("Sentinel-Signature", strings.Replace(r.header.Get("Sentinel-Signature"), "t=1", "t=2", 1))
	require.Error(t, verify(r, "new secret"), "and so is the time")
}

func TestStatusDecidesWhetherItIsTriedAgain(t *testing.T) {
	for status, want := range map[int]struct{ fails, permanent bool }{
		200: {}, 202: {}, 204: {},
		301: {true, true}, 400: {true, true}, 401: {true, true}, 404: {true, true}, 410: {true, true}, 413: {true, true}, 422: {true, true},
		408: {true, false}, 425: {true, false}, 429: {true, false}, 500: {true, false}, 502: {true, false}, 503: {true, false},
	} {
		server, _ := serve(t, status)
		err := sender(t, webhook.Config{URL: engine.Secret(server.URL)}).Notify(context.Background(), notify.Sample(time.Now()))
		require.Equal(t, want.fails, err != nil, status)
		require.Equal(t, want.permanent, engine.IsPermanent(err), status)
		if err == nil {
			continue
		}
		require.ErrorContains(t, err, ": because")
		if !want.permanent {
			var e *engine.Error
			require.ErrorAs(t, err, &e, "it says when to come back")
			require.Equal(t, 7*time.Second, e.RetryAfter)
		}
	}
}

func TestRedirectsStayOnTheHost(t *testing.T) {
	other, stolen := serve(t, http.StatusOK)
	var target string
	var arrived [][]byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/new" {
			arrived = append(arrived, body)
			return
		}
		w.Header().Set("Location", target)
		w.WriteHeader(http.StatusTemporaryRedirect)
	}))
	t.Cleanup(server.Close)
	n := sender(t, webhook.Config{URL: engine.Secret(server.URL), Secret: "s"})

	target = "/new"
	require.NoError(t, n.Notify(context.Background(), notify.Sample(time.Now())))
	require.Len(t, arrived, 1)
	require.NotEmpty(t, arrived[0])

	target = other.URL
	err := n.Notify(context.Background(), notify.Sample(time.Now()))
	require.ErrorContains(t, err, "status 307")
	require.True(t, engine.IsPermanent(err))
	require.Empty(t, *stolen)

	target = server.URL // for ever
	require.Error(t, n.Notify(context.Background(), notify.Sample(time.Now())))
}

func TestServerThatIsSlowOrGone(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	n := sender(t, webhook.Config{URL: engine.Secret(server.URL + "/token-in-the-path")})
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	err := n.Notify(ctx, notify.Sample(time.Now()))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.False(t, engine.IsPermanent(err))
	close(release)
	server.Close()
	err = n.Notify(context.Background(), notify.Sample(time.Now()))
	require.Error(t, err)
	require.False(t, engine.IsPermanent(err))
	require.NotContains(t, err.Error(), "token-in-the-path")
}

func TestServerIsTrustedAsConfigured(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	t.Cleanup(server.Close)
	err := sender(t, webhook.Config{URL: engine.Secret(server.URL)}).Notify(context.Background(), notify.Sample(time.Now()))
	require.ErrorContains(t, err, "certificate")
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	n := sender(t, webhook.Config{URL: engine.Secret(server.URL), TLS: notify.TLS{CAFile: ca}})
	require.NoError(t, n.Notify(context.Background(), notify.Sample(time.Now())))
	_, err = webhook.New(webhook.Config{URL: engine.Secret(server.URL), TLS: notify.TLS{CAFile: "testdata/none.pem"}})
	require.ErrorContains(t, err, "tls.ca_file")
}

func TestConfigIsChecked(t *testing.T) {
	for want, cfg := range map[string]webhook.Config{
		"url: must be an http or https URL":                 {URL: "ftp://example.com"},
		"headers: sentinel-signature cannot be set":         {URL: "http://x", Headers: notify.Headers{"sentinel-signature": "1"}},
		`headers: "a b" is no name of a header`:             {URL: "http://x", Headers: notify.Headers{"a b": "1"}},
		"headers: the value of X is empty":                  {URL: "http://x", Headers: notify.Headers{"X": ""}},
		"previous_secret: there is no secret that replaces": {URL: "http://x", PreviousSecret: "s"},
	} {
		_, err := webhook.New(cfg)
		require.ErrorContains(t, err, want)
	}
}
