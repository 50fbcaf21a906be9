package otlplog

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip" // the compressor that we ask for
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/notify"
)

// Notifier exports to one OTLP receiver. Safe for concurrent use.
type Notifier struct {
	cfg    Config
	http   *notify.HTTP
	grpc   *grpc.ClientConn
	client plogotlp.GRPCClient
}

var _ engine.Notifier = (*Notifier)(nil)

// New makes a Notifier. It does not connect.
func New(cfg Config) (*Notifier, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("otlplog: configuration: %w", err)
	}
	n := &Notifier{cfg: cfg}
	var err error
	if cfg.Protocol == ProtocolHTTP {
		n.http, err = notify.NewHTTP(cfg.TLS)
	} else {
		n.grpc, err = dial(cfg)
		n.client = plogotlp.NewGRPCClient(n.grpc)
	}
	if err != nil {
		return nil, fmt.Errorf("otlplog: configuration: %w", err)
	}
	return n, nil
}

func dial(cfg Config) (*grpc.ClientConn, error) {
	transport := insecure.NewCredentials()
	if !cfg.Insecure {
		trust, err := cfg.TLS.Config()
		if err != nil {
			return nil, err
		}
		transport = credentials.NewTLS(trust)
	}
	return grpc.NewClient(cfg.Endpoint, grpc.WithTransportCredentials(transport), grpc.WithUserAgent("LLM-Sentinel"),
		grpc.WithDefaultCallOptions(grpc.UseCompressor("gzip")))
}

// Notify implements engine.Notifier.
func (n *Notifier) Notify(ctx context.Context, a engine.Alert) error {
	request := plogotlp.NewExportRequestFromLogs(records(a))
	var err error
	if n.http != nil {
		err = n.post(ctx, request)
	} else {
		err = n.call(ctx, request)
	}
	if err != nil {
		return fmt.Errorf("otlplog: export alert %s: %w", notify.AlertID(a.ID), err)
	}
	return nil
}

// Close ends the connections.
func (n *Notifier) Close() error {
	if n.http != nil {
		return n.http.Close()
	}
	return n.grpc.Close()
}

func (n *Notifier) post(ctx context.Context, request plogotlp.ExportRequest) error {
	raw, err := request.MarshalProto()
	if err != nil {
		return engine.Permanent(fmt.Errorf("encode: %w", err))
	}
	var body bytes.Buffer
	zip := gzip.NewWriter(&body)
	if _, err = zip.Write(raw); err == nil {
		err = zip.Close()
	}
	if err != nil {
		return engine.Permanent(fmt.Errorf("compress: %w", err))
	}
	header := http.Header{}
	n.cfg.Headers.Apply(header)
	header.Set("Content-Type", "application/x-protobuf")
	header.Set("Content-Encoding", "gzip")
	answer, err := n.http.Send(ctx, http.MethodPost, n.cfg.Endpoint, header, body.Bytes())
	if err != nil {
		return err
	}
	if err := answer.Err(); err != nil {
		switch answer.Status {
		case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return err
		}
		return engine.Permanent(err)
	}
	response := plogotlp.NewExportResponse()
	if err := response.UnmarshalProto(answer.Body); err != nil {
		return engine.Permanent(fmt.Errorf("the answer is not OTLP: %w", err))
	}
	return rejected(response)
}

func (n *Notifier) call(ctx context.Context, request plogotlp.ExportRequest) error {
	for name, value := range n.cfg.Headers {
		ctx = metadata.AppendToOutgoingContext(ctx, strings.ToLower(name), value.Reveal())
	}
	response, err := n.client.Export(ctx, request)
	if err != nil {
		return judged(ctx, err)
	}
	return rejected(response)
}

// judged marks what must not be sent again.
func judged(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	s := status.Convert(err)
	for _, detail := range s.Details() {
		if retry, ok := detail.(*errdetails.RetryInfo); ok {
			return notify.Later(err, retry.GetRetryDelay().AsDuration())
		}
	}
	switch s.Code() {
	case codes.Canceled, codes.DeadlineExceeded, codes.Aborted, codes.OutOfRange, codes.Unavailable, codes.DataLoss:
		return err
	}
	return engine.Permanent(err)
}

// rejected is the error of a partial success. A warning without rejected records is none.
func rejected(response plogotlp.ExportResponse) error {
	partial := response.PartialSuccess()
	if partial.RejectedLogRecords() == 0 {
		return nil
	}
	return engine.Permanent(errors.New("the receiver rejected records: " + partial.ErrorMessage()))
}
