package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/llm-sentinel/llm-sentinel/api/hook"
)

const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
)

// Server serves the API and the page on one listener.
type Server struct {
	cfg     Config
	deps    Deps
	logger  *slog.Logger
	hosts   []string // cfg.AllowedHosts in lower case
	auth    *Authenticator
	origin  http.CrossOriginProtection
	streams *streams
	metrics *metrics
	openAPI []byte
	router  *gin.Engine

	mu       sync.Mutex
	listener net.Listener
}

// New makes a Server that does not listen yet. It fails on a configuration that does not validate, on missing parts, and where
// its metrics are registered already.
func New(cfg Config, deps Deps, logger *slog.Logger) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	if err := deps.validate(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, deps: deps, logger: logger.With("component", "api"), streams: newStreams()}
	for _, host := range cfg.AllowedHosts {
		s.hosts = append(s.hosts, strings.ToLower(host))
	}
	var err error
	if deps.Hooks == nil {
		if s.deps.Hooks, err = hook.New(hook.DefaultConfig()); err != nil {
			return nil, err
		}
	}
	if s.auth, err = NewAuthenticator(deps.Keys, cfg.KeysRequired(cfg.Listen), s.logger); err != nil {
		return nil, err
	}
	if s.openAPI, err = openAPIDocument(); err != nil {
		return nil, err
	}
	if s.metrics, err = newMetrics(deps.Registerer, deps.Stream); err != nil {
		return nil, err
	}
	s.router = s.newRouter()
	return s, nil
}

// Handler is the whole API without a listener.
func (s *Server) Handler() http.Handler { return s.router }

// Listen opens the port, so that Addr is known before Run serves it. Calling it is optional, and twice is once.
func (s *Server) Listen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil {
		return nil
	}
	listener, err := net.Listen("tcp", s.cfg.Listen)
	if err != nil {
		return fmt.Errorf("api: listen on %s: %w", s.cfg.Listen, err)
	}
	// A name such as localhost may be made to mean anything; what keys guard is decided by the name.
	if addr := listener.Addr().String(); isLoopback(s.cfg.Listen) && !isLoopback(addr) {
		return errors.Join(fmt.Errorf("api: listen on %s: it is %s, which is not loopback", s.cfg.Listen, addr), listener.Close())
	}
	s.listener = listener
	return nil
}

// Addr is the address that the server listens on, "" before Listen or Run.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return ""
	}
	return s.listener.Addr().String()
}

// Run serves until ctx ends, then lets requests under way finish within Config.ShutdownTimeout. It returns nil after a
// clean stop and can be called once.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		return err
	}
	server := &http.Server{
		Handler:           s.router,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       s.cfg.ReadTimeout,
		WriteTimeout:      s.cfg.WriteTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		TLSConfig:         &tls.Config{MinVersion: tls.VersionTLS12},
		ErrorLog:          slog.NewLogLogger(s.logger.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() {
		if s.cfg.TLS.CertFile != "" {
			served <- server.ServeTLS(s.listener, s.cfg.TLS.CertFile, s.cfg.TLS.KeyFile)
			return
		}
		served <- server.Serve(s.listener)
	}()
	s.logger.InfoContext(ctx, "listening", "address", s.Addr(), "tls", s.cfg.TLS.CertFile != "", "keys_required", s.auth.required)

	select {
	case err := <-served:
		return errors.Join(fmt.Errorf("api: serve %s: %w", s.Addr(), err), server.Close())
	case <-ctx.Done():
	}
	deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.ShutdownTimeout)
	defer cancel()
	s.streams.stop()
	err := server.Shutdown(deadline)
	if err != nil {
		err = errors.Join(fmt.Errorf("api: requests under way cut off: %w", err), server.Close())
	}
	err = errors.Join(err, s.streams.wait(deadline)) // the server does not know them any more
	if stopped := <-served; !errors.Is(stopped, http.ErrServerClosed) {
		err = errors.Join(err, stopped)
	}
	return err
}
