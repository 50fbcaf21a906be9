package ticket_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/notify"
	"github.com/llm-sentinel/llm-sentinel/notify/ticket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRequestIsWhatTheTemplatesSay(t *testing.T) {
	status := http.StatusCreated
	var method, path, body string
	var header http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		method, path, body, header = r.Method, r.URL.EscapedPath(), string(text), r.Header
		w.WriteHeader(status)
	}))
	t.Cleanup(server.Close)
	cfg := ticket.DefaultConfig()
	cfg.URL, cfg.Method = engine.Secret(server.URL+"/issues/{{path .IncidentID}}"), http.MethodPut
	cfg.Body = `{"fields": {"summary": {{json .Title}}, "labels": [{{range $i, $s := .AffectedServices}}{{if $i}}, {{end}}{{json $s}}{{end}}]}}`
	cfg.Headers = notify.Headers{"Authorization": "Basic abc"}
	n, err := ticket.New(cfg)
	require.NoError(t, err)
	defer func() { require.NoError(t, n.Close()) }()
	a := notify.Sample(time.Now())
	a.Incident.ID = "a/b"
	a.Incident.Title = `quotes " and \ and` + "\n"
	a.Incident.Services = []string{"x", "y"}
	require.NoError(t, n.Notify(context.Background(), a))
	require.Equal(t, http.MethodPut, method)
	require.Equal(t, "/issues/a%2Fb", path)
	require.JSONEq(t, `{"fields": {"summary": "quotes \" and \\ and\n", "labels": ["x", "y"]}}`, body)
	require.Equal(t, "Basic abc", header.Get("Authorization"))
	require.Equal(t, notify.AlertID(a.ID), header.Get("Idempotency-Key"))

	status = http.StatusUnprocessableEntity
	require.True(t, engine.IsPermanent(n.Notify(context.Background(), a)))
	status = http.StatusBadGateway
	err = n.Notify(context.Background(), a)
	require.Error(t, err)
	require.False(t, engine.IsPermanent(err))
}

func TestTemplatesAreTriedAtTheStart(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*ticket.Config)
		want   string // "" is good
	}{
		"default":                    {func(*ticket.Config) {}, ""},
		"no URL":                     {func(c *ticket.Config) { c.URL = "" }, "url: must be an http or https URL"},
		"no template":                {func(c *ticket.Config) { c.Body = "{{.Title" }, "body: "},
		"unknown field":              {func(c *ticket.Config) { c.Body = "{{.Nothing}}" }, "body: "},
		"unknown function":           {func(c *ticket.Config) { c.Body = "{{upper .Title}}" }, `function "upper" not defined`},
		"not JSON":                   {func(c *ticket.Config) { c.Body = `{"title": {{.Title}}}` }, "write texts as {{json .Title}}"},
		"fails for an empty message": {func(c *ticket.Config) { c.Body = `"{{index .AffectedServices 0}}"` }, "body: "},
		"endless":                    {func(c *ticket.Config) { c.Body = `{{define "x"}}{{template "x" .}}{{end}}{{template "x" .}}` }, "body: "},
		"text need not be JSON": {func(c *ticket.Config) {
			c.Body, c.ContentType = "{{.Title}} ({{.Severity}})", "text/plain; charset=utf-8"
		}, ""},
		"URL without a template": {func(c *ticket.Config) { c.URL = "https://example.com/{{.Token" }, "url: is no template"},
		"method":                 {func(c *ticket.Config) { c.Method = "GET" }, `method: "GET" is none of POST, PUT, PATCH`},
		"content type":           {func(c *ticket.Config) { c.ContentType = "/" }, "content_type: "},
		"too long":               {func(c *ticket.Config) { c.Body = strings.Repeat("x", 1<<17) }, "body: a template is longer than 65536 bytes"},
		"header":                 {func(c *ticket.Config) { c.Headers = notify.Headers{"Content-Type": "x"} }, "headers: Content-Type cannot be set"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := ticket.DefaultConfig()
			cfg.URL = "https://example.com/tickets"
			test.change(&cfg)
			err := cfg.Validate()
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.want)
		})
	}
}
