package qdrant

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// maxReply bounds what one answer of the server may take in memory.
const maxReply = 64 << 20

// dial makes the connection, which is opened by the first call. The server is asked for again every few seconds while it is
// away, and a connection on which nothing comes back any more is given up.
func dial(cfg Config) (*grpc.ClientConn, error) {
	transport := insecure.NewCredentials()
	if cfg.TLS.Enabled {
		t, err := cfg.tlsConfig()
		if err != nil {
			return nil, err
		}
		transport = credentials.NewTLS(t)
	}
	patience := backoff.DefaultConfig
	patience.MaxDelay = 3 * time.Second
	conn, err := grpc.NewClient("passthrough:///"+cfg.Address,
		grpc.WithTransportCredentials(transport),
		grpc.WithUnaryInterceptor(bounded(cfg)),
		grpc.WithUserAgent("llm-sentinel"),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: patience, MinConnectTimeout: cfg.Timeout}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: cfg.Timeout, PermitWithoutStream: true}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxReply)))
	if err != nil {
		return nil, engine.Errorf(engine.CodeInvalid, "qdrant: address %.128q: %w", cfg.Address, err)
	}
	return conn, nil
}

// bounded gives each request its time, and the API key.
func bounded(cfg Config) grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
		defer cancel()
		if cfg.APIKey != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, "api-key", cfg.APIKey.Reveal())
		}
		return invoke(ctx, method, request, reply, conn, opts...)
	}
}

// failure puts the operation and its subject in front of err and gives it a code.
func (m *Memory) failure(ctx context.Context, err error, format string, args ...any) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		err = context.Canceled // the caller's own doing, which a status hides
	}
	return engine.Errorf(errorCode(err), "qdrant: %s: %w", fmt.Sprintf(format, args...), err)
}

func errorCode(err error) engine.Code {
	var coded *engine.Error
	if errors.As(err, &coded) {
		return coded.Code
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return engine.CodeUnavailable
	}
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.ResourceExhausted, codes.Aborted,
		codes.Unauthenticated, codes.PermissionDenied, // an operator's affair, not the caller's
		codes.Canceled: // Close, since the caller's own is told before
		return engine.CodeUnavailable
	}
	return engine.CodeInternal
}
