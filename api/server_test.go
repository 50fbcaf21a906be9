package api

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

func TestConfig(t *testing.T) {
	require.NoError(t, DefaultConfig().Validate())
	for name, change := range map[string]func(*Config){
		"listen":          func(c *Config) { c.Listen = "8080" },
		"allow_anonymous": func(c *Config) { c.AllowAnonymous, c.RequireKeys = true, true },
		"allowed_hosts":   func(c *Config) { c.AllowedHosts = []string{"a.example:8080"} },
		"key_file":        func(c *Config) { c.TLS.CertFile = "cert.pem" },
		"max_body_bytes":  func(c *Config) { c.MaxBodyBytes = 0 },
		"max_json_bytes":  func(c *Config) { c.MaxJSONBytes = -1 },
		"max_uploads":     func(c *Config) { c.MaxUploads = 0 },
		"write_timeout":   func(c *Config) { c.WriteTimeout = 0 },
	} {
		cfg := DefaultConfig()
		change(&cfg)
		require.ErrorContains(t, cfg.Validate(), name)
	}
	cfg := DefaultConfig()
	require.NoError(t, yaml.UnmarshalWithOptions([]byte("listen: :9000\nallowed_hosts: [a.example, '::1']\nread_timeout: 5s\n"), &cfg, yaml.Strict()))
	require.NoError(t, cfg.Validate())
	require.Equal(t, 5*time.Second, cfg.ReadTimeout)
}

func TestKeysRequired(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:1": false, "localhost:1": false, "[::1]:1": false, "127.8.8.8:1": false,
		"0.0.0.0:1": true, ":1": true, "[::]:1": true, "192.0.2.1:1": true, "sentinel.example:1": true, "localhost.example:1": true,
	} {
		require.Equal(t, want, Config{}.KeysRequired(address), address)
		require.True(t, Config{RequireKeys: true}.KeysRequired(address))
		require.False(t, Config{AllowAnonymous: true}.KeysRequired(address))
	}
	require.False(t, Config{RequireKeys: true}.KeysRequired(""), "a listener that is switched off asks for nothing")
}

func TestNewNamesWhatIsMissing(t *testing.T) {
	_, err := New(DefaultConfig(), Deps{}, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "Scorer")
	_, err = New(Config{}, Deps{}, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "listen")

	registry := prometheus.NewRegistry()
	reuse := func(_ *Config, d *Deps) { d.Registerer = registry }
	s := newServer(t, newBackend(), reuse)
	_, err = New(s.cfg, s.deps, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "register metrics")
}

// A stop lets the request under way have its answer.
func TestRunStopsGracefully(t *testing.T) {
	b := newBackend()
	entered, release := make(chan struct{}), make(chan struct{})
	b.scorePlug = func() { close(entered); <-release }
	s := newServer(t, b)
	require.Empty(t, s.Addr())
	require.NoError(t, s.Listen())
	require.NotEmpty(t, s.Addr())

	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answered := make(chan int, 1)
	go func() {
		response, err := client.Post("http://"+s.Addr()+"/api/v1/detect", mediaJSON, strings.NewReader(`{"metrics":{"cost":1}}`))
		if err != nil {
			answered <- 0
			return
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		answered <- response.StatusCode
	}()
	<-entered
	stop()
	close(release)
	require.Equal(t, http.StatusOK, <-answered)
	require.NoError(t, <-ran)
	_, err := net.Dial("tcp", s.Addr())
	require.Error(t, err)
}

func TestRunFailsOnATakenPort(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, taken.Close()) }()
	s := newServer(t, newBackend(), func(c *Config, _ *Deps) { c.Listen = taken.Addr().String() })
	require.ErrorContains(t, s.Run(t.Context()), "listen on")
}
