package otlp

import (
	"bytes"
	"encoding/json"
	"errors"
	"mime"

	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/ingest"
)

// encoding is one of OTLP's two encodings.
type encoding string

const (
	encodingProto encoding = "application/x-protobuf"
	encodingJSON  encoding = "application/json"
)

// errUnsupported marks content types and encodings that OTLP does not have.
var errUnsupported = errors.New("not supported")

// encodingOf reads a Content-Type header.
func encodingOf(contentType string) (encoding, error) {
	media, _, err := mime.ParseMediaType(contentType)
	if err == nil {
		switch media {
		case "application/x-protobuf", "application/protobuf":
			return encodingProto, nil
		case "application/json":
			return encodingJSON, nil
		}
	}
	return "", engine.Errorf(engine.CodeInvalid, "content type %q is %w: want application/x-protobuf or application/json", contentType, errUnsupported)
}

// inflate undoes a Content-Encoding. It stops with CodeTooLarge as soon as the limit is passed, so that a small body cannot
// make the server hold a large one.
func inflate(contentEncoding string, body []byte, limit int) ([]byte, error) {
	switch contentEncoding {
	case "", "identity":
		if len(body) > limit {
			return nil, tooLarge(limit)
		}
		return body, nil
	case "gzip":
	default:
		return nil, engine.Errorf(engine.CodeInvalid, "content encoding %q is %w: want gzip or none", contentEncoding, errUnsupported)
	}
	out, err := ingest.Gunzip(body, limit)
	switch {
	case errors.Is(err, ingest.ErrTooLarge):
		return nil, tooLarge(limit)
	case err != nil:
		return nil, engine.Errorf(engine.CodeInvalid, "malformed gzip body: %w", err)
	}
	return out, nil
}

func tooLarge(limit int) error {
	return engine.Errorf(engine.CodeTooLarge, "request is larger than %d bytes", limit)
}

// exportRequest is what the requests of all signals can do.
type exportRequest interface {
	UnmarshalProto([]byte) error
	UnmarshalJSON([]byte) error
}

func unmarshal(enc encoding, body []byte, into exportRequest) error {
	if enc == encodingProto {
		if err := into.UnmarshalProto(body); err != nil {
			return engine.Errorf(engine.CodeInvalid, "malformed protobuf body: %w", err)
		}
		return nil
	}
	// The decoder neither bounds how deep values nest nor minds what stands behind the request.
	if !json.Valid(body) {
		var raw json.RawMessage
		return engine.Errorf(engine.CodeInvalid, "malformed JSON body: %w", json.Unmarshal(body, &raw))
	}
	if trimmed := bytes.TrimLeft(body, " \t\r\n"); trimmed[0] != '{' {
		return engine.Errorf(engine.CodeInvalid, "malformed JSON body: want an object")
	}
	if err := into.UnmarshalJSON(body); err != nil {
		// The decoder quotes what stands around the mistake, which is how the client learns the field. It is never logged.
		return engine.Errorf(engine.CodeInvalid, "malformed OTLP/JSON body: %w", err)
	}
	return nil
}

// DecodeTraces decodes the body of an OTLP/HTTP request for traces of at most limit bytes, before and after
// decompression. Errors carry CodeInvalid or CodeTooLarge.
func DecodeTraces(contentType, contentEncoding string, body []byte, limit int) (ptrace.Traces, error) {
	enc, err := encodingOf(contentType)
	if err != nil {
		return ptrace.Traces{}, err
	}
	if body, err = inflate(contentEncoding, body, limit); err != nil {
		return ptrace.Traces{}, err
	}
	req := ptraceotlp.NewExportRequest()
	if err := unmarshal(enc, body, req); err != nil {
		return ptrace.Traces{}, err
	}
	return req.Traces(), nil
}
