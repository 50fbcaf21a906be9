package otlp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/encoding/gzip" // clients compress with it
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// maxStreams bounds the requests that one client can have under way.
const maxStreams = 100

type traceService struct {
	ptraceotlp.UnimplementedGRPCServer
	exporter
}

func (s *traceService) Export(ctx context.Context, req ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	return s.traces(ctx, req)
}

type logService struct {
	plogotlp.UnimplementedGRPCServer
	exporter
}

func (s *logService) Export(ctx context.Context, req plogotlp.ExportRequest) (plogotlp.ExportResponse, error) {
	return s.logs(ctx, req)
}

type metricService struct {
	pmetricotlp.UnimplementedGRPCServer
	exporter
}

func (s *metricService) Export(_ context.Context, req pmetricotlp.ExportRequest) (pmetricotlp.ExportResponse, error) {
	return s.metrics(req), nil
}

// serveGRPC serves l until ctx ends.
func (r *Receiver) serveGRPC(ctx context.Context, group *errgroup.Group, l net.Listener, next engine.Sink) {
	options := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(r.cfg.MaxBodyBytes), // of the decompressed message
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.ConnectionTimeout(10 * time.Second),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: 10 * time.Minute}),
		grpc.UnaryInterceptor(r.intercept),
	}
	if r.tls != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(r.tls)))
	}
	server := grpc.NewServer(options...)
	e := exporter{receiver: r, next: next}
	ptraceotlp.RegisterGRPCServer(server, &traceService{exporter: e})
	plogotlp.RegisterGRPCServer(server, &logService{exporter: e})
	pmetricotlp.RegisterGRPCServer(server, &metricService{exporter: e})
	group.Go(func() error {
		if err := server.Serve(l); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			return fmt.Errorf("otlp: serve gRPC: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		late := time.AfterFunc(r.cfg.DrainTimeout, func() {
			r.log.Warn("requests cut off at shutdown", "protocol", protocolGRPC)
			server.Stop()
		})
		defer late.Stop()
		server.GracefulStop()
		return nil
	})
}

// remoteOf is the address of a gRPC client, "" when the transport does not tell.
func remoteOf(ctx context.Context) string {
	if p, ok := peer.FromContext(ctx); ok {
		return p.Addr.String()
	}
	return ""
}

// intercept checks the key, takes a slot, and turns errors into statuses.
func (r *Receiver) intercept(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	resp, err := func() (any, error) {
		if r.authorize != nil {
			if err := r.authorize(ctx, remoteOf(ctx), keyOfMetadata(ctx)); err != nil {
				return nil, err
			}
		}
		if err := r.admit(); err != nil {
			return nil, err
		}
		defer r.release()
		return handle(ctx, req)
	}()
	r.count(protocolGRPC, signalOfMethod(info.FullMethod), err)
	if err != nil {
		return nil, rpcStatus(err).Err()
	}
	return resp, nil
}

func signalOfMethod(method string) string {
	switch {
	case strings.Contains(method, ".trace."):
		return signalTraces
	case strings.Contains(method, ".logs."):
		return signalLogs
	}
	return signalMetrics
}

func keyOfMetadata(ctx context.Context) string {
	md, _ := metadata.FromIncomingContext(ctx)
	return keyOf(func(name string) string {
		if v := md.Get(name); len(v) > 0 {
			return v[0]
		}
		return ""
	})
}

// keyOf reads the API key of a request: "Authorization: Bearer KEY", or X-API-Key.
func keyOf(header func(name string) string) string {
	if scheme, key, ok := strings.Cut(header("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(key)
	}
	return strings.TrimSpace(header("X-API-Key"))
}
