package otlp

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// defaultRetryAfter is when a client shall come back when the engine did not say.
const defaultRetryAfter = 5 * time.Second

// errorCode is the engine's code of an error; a request whose client or server went away counts as unavailable.
func errorCode(err error) engine.Code {
	if err == nil {
		return codeOK
	}
	switch code := engine.ErrorCode(err); code {
	case engine.CodeInvalid, engine.CodeTooLarge, engine.CodeUnauthorized, engine.CodeFull, engine.CodeUnavailable:
		return code
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return engine.CodeUnavailable
	}
	return engine.CodeInternal
}

// retryAfter is when to try again, and 0 when that is of no use.
func retryAfter(err error) time.Duration {
	switch errorCode(err) {
	case engine.CodeFull, engine.CodeUnavailable:
	default:
		return 0
	}
	var e *engine.Error
	if errors.As(err, &e) && e.RetryAfter > 0 {
		return e.RetryAfter
	}
	return defaultRetryAfter
}

// rpcStatus is the error as OTLP tells it: a gRPC status, which is the body of an HTTP error too.
func rpcStatus(err error) *status.Status {
	message := err.Error()
	code := codes.Internal
	switch errorCode(err) {
	case engine.CodeInvalid, engine.CodeTooLarge:
		code = codes.InvalidArgument
	case engine.CodeUnauthorized:
		code = codes.Unauthenticated
	case engine.CodeFull, engine.CodeUnavailable:
		code = codes.Unavailable
	default:
		message = "internal error"
	}
	st := status.New(code, message)
	if after := retryAfter(err); after > 0 {
		if detailed, err := st.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(after)}); err == nil {
			st = detailed
		}
	}
	return st
}

func httpCode(err error) int {
	if errors.Is(err, errUnsupported) {
		return http.StatusUnsupportedMediaType
	}
	switch errorCode(err) {
	case engine.CodeInvalid:
		return http.StatusBadRequest
	case engine.CodeTooLarge:
		return http.StatusRequestEntityTooLarge
	case engine.CodeUnauthorized:
		return http.StatusUnauthorized
	case engine.CodeFull:
		return http.StatusTooManyRequests
	case engine.CodeUnavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// writeError answers an HTTP request with a google.rpc.Status in the encoding of the request.
func writeError(w http.ResponseWriter, enc encoding, err error) {
	st := rpcStatus(err).Proto()
	marshal := proto.Marshal
	if enc != encodingProto {
		enc, marshal = encodingJSON, protojson.Marshal
	}
	body, marshalErr := marshal(st)
	if marshalErr != nil {
		body = nil
	}
	if after := retryAfter(err); after > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(after.Seconds()))))
	}
	code := httpCode(err)
	if code == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	w.Header().Set("Content-Type", string(enc))
	w.WriteHeader(code)
	_, _ = w.Write(body)
}
