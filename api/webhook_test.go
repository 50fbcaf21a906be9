package api

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/api/hook"
	"github.com/llm-sentinel/llm-sentinel/engine"
)

func hookSignature(body string) string {
	h := hmac.New(sha256.New, []byte(hookSecret))
	h.Write([]byte(body))
	return "sha256=" + hex.EncodeToString(h.Sum(nil))
}

func deliver(s *Server, event, body string, headers ...string) int {
	headers = append([]string{"X-GitHub-Event", event, "X-Hub-Signature-256", hookSignature(body)}, headers...)
	return send(s, "POST", "/api/v1/hooks/github", body, headers...).Code
}

func TestWebhooksBecomeMarkers(t *testing.T) {
	b := newBackend()
	s := newServer(t, b, public) // keys are required there, and webhooks have none
	body, err := os.ReadFile("hook/testdata/github-deployment_status.json")
	require.NoError(t, err)
	headers := []string{"X-GitHub-Event", "deployment_status", "X-Hub-Signature-256", hookSignature(string(body))}
	first := decode[hookResponse](t, send(s, "POST", "/api/v1/hooks/github", string(body), headers...), http.StatusAccepted)
	again := decode[hookResponse](t, send(s, "POST", "/api/v1/hooks/github", string(body), headers...), http.StatusAccepted)
	require.Equal(t, first, again)
	require.Len(t, first.IDs, 1)
	require.Equal(t, engine.ChangeMarker{
		ID: first.IDs[0], At: time.Date(2026, 1, 31, 12, 4, 9, 0, time.UTC), Kind: engine.MarkerDeployment, Service: "shop", Version: "v2.4.0",
		Description: "v2.4.0 of acme/shop to production: new retriever", Source: "github",
	}, b.batches[0].Markers[0])

	ignored := decode[hookResponse](t, send(s, "POST", "/api/v1/hooks/github", "{}", "X-GitHub-Event", "push", "X-Hub-Signature-256", hookSignature("{}")), http.StatusAccepted)
	require.Contains(t, ignored.Ignored, "push marks no change")
	require.Empty(t, ignored.IDs)
	require.Equal(t, http.StatusOK, deliver(s, "ping", "{}"))
	require.Equal(t, http.StatusUnauthorized, deliver(s, "ping", "{}", "X-Hub-Signature-256", ""))
	b.doneErr = errBroken
	require.Equal(t, http.StatusInternalServerError, deliver(s, "deployment_status", string(body)))
	for result, count := range map[string]float64{hookMarked: 2, hookIgnored: 1, hookPing: 1, hookRefused: 1, hookFailed: 1} {
		require.Equal(t, count, testutil.ToFloat64(s.metrics.hooks.WithLabelValues(hook.GitHub, result)), result)
	}
}

func TestWebhooksRefuse(t *testing.T) {
	b := newBackend()
	s := newServer(t, b, func(c *Config, _ *Deps) { c.MaxJSONBytes = 100 })
	p := requireProblem(t, send(s, "POST", "/api/v1/hooks/gitlab", `{}`, "X-Gitlab-Token", hookSecret), http.StatusBadRequest, "invalid")
	require.Equal(t, "object_kind", p.Field)
	requireProblem(t, send(s, "POST", "/api/v1/hooks/gitlab", `{}`, "X-Gitlab-Token", "guess"), http.StatusUnauthorized, "unauthorized")
	requireProblem(t, send(s, "POST", "/api/v1/hooks/gitlab", strings.Repeat(" ", 101), "X-Gitlab-Token", hookSecret), http.StatusRequestEntityTooLarge, "too_large")
	requireProblem(t, send(s, "POST", "/api/v1/hooks/gitlab", `payload={}`, "X-Gitlab-Token", hookSecret, "Content-Type", mediaForm), http.StatusUnsupportedMediaType, "unsupported_media_type")
	requireProblem(t, send(s, "POST", "/api/v1/hooks/jenkins", `{}`), http.StatusNotFound, "not_found")
	// An API key opens no webhook.
	key := b.addKey(t, "admin", engine.ScopeAdmin)
	requireProblem(t, send(s, "POST", "/api/v1/hooks/argocd", `{}`, "Authorization", "Bearer "+key), http.StatusUnauthorized, "unauthorized")

	without := newServer(t, b, func(_ *Config, d *Deps) { d.Hooks = nil })
	for _, source := range hook.Sources {
		p := requireProblem(t, send(without, "POST", "/api/v1/hooks/"+source, `{}`), http.StatusNotFound, "not_found")
		require.Contains(t, p.Detail, "hooks."+source+".secret")
	}
	require.Empty(t, b.batches)
}
