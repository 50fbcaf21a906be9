package otlp

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

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"golang.org/x/sync/errgroup"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/ingest/genai"
)

// Authorize decides whether the bearer of an API key may send telemetry from an address (host:port); key is "" when the request has
// none. The error's code is told to the client: CodeUnauthorized for a key that does not fit, CodeFull after too many of those,
// CodeUnavailable when keys cannot be looked up.
type Authorize func(ctx context.Context, remote, key string) error

// Receiver is the OTLP server, an [engine.Source].
type Receiver struct {
	cfg       Config
	tls       *tls.Config // nil for plain text
	mapper    *genai.Mapper
	authorize Authorize
	log       *slog.Logger
	metrics   *metrics
	slots     chan struct{} // one for each request that is worked on

	ready              chan struct{}
	once               sync.Once
	grpcAddr, httpAddr net.Addr
}

var _ engine.Source = (*Receiver)(nil)

// New makes a receiver. authorize nil lets everybody in. It fails on a configuration that makes no sense and on TLS files that
// cannot be read.
func New(cfg Config, mapper *genai.Mapper, authorize Authorize, log *slog.Logger, reg prometheus.Registerer) (*Receiver, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	r := &Receiver{
		cfg:       cfg,
		mapper:    mapper,
		authorize: authorize,
		log:       log.With("component", "ingest/otlp"),
		slots:     make(chan struct{}, cfg.MaxRequests),
		ready:     make(chan struct{}),
	}
	if cfg.TLS.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(cfg.TLS.CertFile, cfg.TLS.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("otlp: load TLS certificate %s: %w", cfg.TLS.CertFile, err)
		}
		r.tls = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}}
	}
	var err error
	if r.metrics, err = newMetrics(reg); err != nil {
		return nil, err
	}
	return r, nil
}

// Run listens until ctx ends, then lets the requests under way finish within the drain timeout. It fails when a listener
// cannot be opened or breaks. A receiver runs once.
func (r *Receiver) Run(ctx context.Context, next engine.Sink) error {
	grpcListener, err := listen(ctx, r.cfg.GRPC)
	if err != nil {
		return err
	}
	httpListener, err := listen(ctx, r.cfg.HTTP)
	if err != nil {
		if grpcListener != nil {
			_ = grpcListener.Close()
		}
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	if grpcListener != nil {
		r.grpcAddr = grpcListener.Addr()
		r.serveGRPC(ctx, group, grpcListener, next)
	}
	if httpListener != nil {
		r.httpAddr = httpListener.Addr()
		r.serveHTTP(ctx, group, httpListener, next)
	}
	// With neither listener the receiver still lives as long as its context, as every source does.
	group.Go(func() error { <-ctx.Done(); return nil })
	r.once.Do(func() { close(r.ready) })
	r.log.Info("listening", "grpc", addrString(r.grpcAddr), "http", addrString(r.httpAddr), "tls", r.tls != nil)
	return group.Wait()
}

// Ready is closed when all listeners are open, from when on Addrs is meaningful.
func (r *Receiver) Ready() <-chan struct{} { return r.ready }

// Addrs returns where gRPC and HTTP listen, nil for one that is disabled. It must not be called before Ready is closed.
func (r *Receiver) Addrs() (grpc, http net.Addr) { return r.grpcAddr, r.httpAddr }

func listen(ctx context.Context, addr string) (net.Listener, error) {
	if addr == "" {
		return nil, nil
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("otlp: listen on %s: %w", addr, err)
	}
	return l, nil
}

func addrString(a net.Addr) string {
	if a == nil {
		return "off"
	}
	return a.String()
}

// serveHTTP serves l until ctx ends.
func (r *Receiver) serveHTTP(ctx context.Context, group *errgroup.Group, l net.Listener, next engine.Sink) {
	server := &http.Server{
		Handler:           http.NewCrossOriginProtection().Handler(r.Handler(next)), // no page in a browser is a source
		TLSConfig:         r.tls,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(r.log.Handler(), slog.LevelDebug),
	}
	group.Go(func() error {
		var err error
		if r.tls != nil {
			err = server.ServeTLS(l, "", "")
		} else {
			err = server.Serve(l)
		}
		if !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("otlp: serve HTTP: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.cfg.DrainTimeout)
		defer cancel()
		if err := server.Shutdown(drain); err != nil {
			r.log.Warn("requests cut off at shutdown", "protocol", protocolHTTP, "error", err)
			return server.Close()
		}
		return nil
	})
}

// admit takes a slot for a request. Callers give it back with release.
func (r *Receiver) admit() error {
	select {
	case r.slots <- struct{}{}:
		return nil
	default:
		return &engine.Error{Code: engine.CodeFull, Message: "too many requests at once", RetryAfter: time.Second}
	}
}

func (r *Receiver) release() { <-r.slots }

// count counts an answered request and logs the errors that are ours. Those of clients are theirs to log.
func (r *Receiver) count(protocol, signal string, err error) {
	code := errorCode(err)
	r.metrics.requests.WithLabelValues(protocol, signal, string(code)).Inc()
	if code == engine.CodeInternal {
		r.log.Error("request failed", "protocol", protocol, "signal", signal, "error", err)
	}
}

func (r *Receiver) consumeTraces(ctx context.Context, next engine.Sink, td ptrace.Traces) (genai.Result, error) {
	return r.consume(ctx, next, r.mapper.Spans(td, time.Now()))
}

func (r *Receiver) consumeLogs(ctx context.Context, next engine.Sink, ld plog.Logs) (genai.Result, error) {
	return r.consume(ctx, next, r.mapper.Logs(ld, time.Now()))
}

func (r *Receiver) consume(ctx context.Context, next engine.Sink, res genai.Result) (genai.Result, error) {
	if len(res.Spans)+len(res.Contents)+len(res.Evaluations) > 0 {
		err := next.Consume(ctx, engine.Batch{Spans: res.Spans, Contents: res.Contents, Evaluations: res.Evaluations})
		if err != nil {
			return res, err
		}
	}
	r.metrics.observe(res)
	return res, nil
}

// refusal sums up for the client what was refused and why; it is "" when nothing was.
func refusal(rejected []genai.Rejection) string {
	const shown = 3
	if len(rejected) == 0 {
		return ""
	}
	var lines []string
	for _, r := range rejected[:min(shown, len(rejected))] {
		lines = append(lines, r.Error())
	}
	if more := len(rejected) - shown; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, "; ")
}
