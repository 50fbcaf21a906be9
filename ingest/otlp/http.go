package otlp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// exportResponse is what the responses of all signals can do.
type exportResponse interface {
	MarshalProto() ([]byte, error)
	MarshalJSON() ([]byte, error)
}

// Handler serves POST /v1/traces, /v1/logs and /v1/metrics, also when the receiver does not run, so that the routes can be
// mounted beside others.
func (r *Receiver) Handler(next engine.Sink) http.Handler {
	e := exporter{receiver: r, next: next}
	mux := http.NewServeMux()
	mux.Handle("POST /v1/traces", r.handle(signalTraces, func(ctx context.Context, decode func(exportRequest) error) (exportResponse, error) {
		req := ptraceotlp.NewExportRequest()
		if err := decode(req); err != nil {
			return nil, err
		}
		return e.traces(ctx, req)
	}))
	mux.Handle("POST /v1/logs", r.handle(signalLogs, func(ctx context.Context, decode func(exportRequest) error) (exportResponse, error) {
		req := plogotlp.NewExportRequest()
		if err := decode(req); err != nil {
			return nil, err
		}
		return e.logs(ctx, req)
	}))
	mux.Handle("POST /v1/metrics", r.handle(signalMetrics, func(_ context.Context, decode func(exportRequest) error) (exportResponse, error) {
		req := pmetricotlp.NewExportRequest()
		if err := decode(req); err != nil {
			return nil, err
		}
		return e.metrics(req), nil
	}))
	return mux
}

// export decodes a request of one signal and answers it.
type export func(ctx context.Context, decode func(exportRequest) error) (exportResponse, error)

func (r *Receiver) handle(signal string, run export) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		enc, err := encodingOf(req.Header.Get("Content-Type"))
		var body []byte
		if err == nil {
			body, err = r.answer(w, req, enc, run)
		}
		r.count(protocolHTTP, signal, err)
		if err != nil {
			writeError(w, enc, err)
			return
		}
		w.Header().Set("Content-Type", string(enc))
		_, _ = w.Write(body)
	})
}

func (r *Receiver) answer(w http.ResponseWriter, req *http.Request, enc encoding, run export) ([]byte, error) {
	if r.authorize != nil {
		if err := r.authorize(req.Context(), req.RemoteAddr, keyOf(req.Header.Get)); err != nil {
			return nil, err
		}
	}
	// A slot is for work: a client that sends slowly, or not at all, holds none, and is cut off.
	if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return nil, fmt.Errorf("otlp: read deadline: %w", err)
	}
	raw, err := r.readBody(w, req)
	if err != nil {
		return nil, err
	}
	if err := r.admit(); err != nil {
		return nil, err
	}
	defer r.release()
	body, err := inflate(req.Header.Get("Content-Encoding"), raw, r.cfg.MaxBodyBytes)
	if err != nil {
		return nil, err
	}
	resp, err := run(req.Context(), func(into exportRequest) error { return unmarshal(enc, body, into) })
	if err != nil {
		return nil, err
	}
	if enc == encodingProto {
		return resp.MarshalProto()
	}
	return resp.MarshalJSON()
}

func (r *Receiver) readBody(w http.ResponseWriter, req *http.Request) ([]byte, error) {
	const believed = 1 << 20 // of what the client says it will send
	var raw bytes.Buffer
	raw.Grow(int(min(max(req.ContentLength, 0), believed)) + bytes.MinRead)
	_, err := io.Copy(&raw, http.MaxBytesReader(w, req.Body, int64(r.cfg.MaxBodyBytes)))
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, tooLarge(r.cfg.MaxBodyBytes)
	case err != nil:
		return nil, engine.Errorf(engine.CodeInvalid, "read body: %w", err)
	}
	return raw.Bytes(), nil
}

// bodyTimeout is how long the body of a request may take to arrive.
const bodyTimeout = 10 * time.Second
