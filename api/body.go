package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

const (
	mediaJSON     = "application/json"
	mediaProtobuf = "application/x-protobuf"
)

// Lengths in bytes of texts that people and clients send along.
const (
	maxName = 256  // of a service, a model, a person
	maxNote = 4096 // of a remark
)

// readBody reads at most limit bytes.
func readBody(c *gin.Context, limit int64) ([]byte, error) {
	if c.Request.ContentLength > limit {
		return nil, engine.Errorf(engine.CodeTooLarge, "the body has %d bytes; at most %d are taken", c.Request.ContentLength, limit)
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, limit))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, engine.Errorf(engine.CodeTooLarge, "the body has more than the %d bytes that are taken", limit)
	}
	if err != nil {
		return nil, engine.Errorf(engine.CodeInvalid, "the body could not be read: %w", err)
	}
	return body, nil
}

// mediaType is the request's content type without parameters. It must be one of those allowed: a page of another site cannot
// send any of them without asking first.
func mediaType(r *http.Request, allowed ...string) (string, error) {
	header := r.Header.Get("Content-Type")
	media, _, err := mime.ParseMediaType(header)
	if err == nil {
		for _, a := range allowed {
			if media == a {
				return media, nil
			}
		}
	}
	return "", httpError{problemMediaType, fmt.Sprintf("Content-Type is %q; want %s", header, strings.Join(allowed, " or "))}
}

// readJSON reads a JSON body, which may be absent only where optional is set; then it returns nil.
func (s *Server) readJSON(c *gin.Context, optional bool) ([]byte, error) {
	if encoding := c.GetHeader("Content-Encoding"); encoding != "" && encoding != "identity" {
		return nil, httpError{problemMediaType, fmt.Sprintf("Content-Encoding %q is not understood here", encoding)}
	}
	body, err := readBody(c, s.cfg.MaxJSONBytes)
	if err != nil {
		return nil, err
	}
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		if optional {
			return nil, nil
		}
		return nil, engine.Errorf(engine.CodeInvalid, "the body is empty")
	}
	if _, err := mediaType(c.Request, mediaJSON); err != nil {
		return nil, err
	}
	return body, nil
}

// decodeJSON reads exactly one value of the shape of dst: unknown fields, wrong types and anything behind it are errors.
func decodeJSON(body []byte, dst any) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(dst); err != nil {
		return describeJSON(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return engine.Errorf(engine.CodeInvalid, "the body has more than one JSON value")
	}
	return nil
}

func describeJSON(err error) error {
	var wrongType *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &wrongType) && wrongType.Field != "":
		return invalidField(wrongType.Field, "want %s, got %s", wrongType.Type, wrongType.Value)
	case errors.As(err, &wrongType):
		return engine.Errorf(engine.CodeInvalid, "want a JSON object, got %s", wrongType.Value)
	case errors.As(err, &syntax):
		return engine.Errorf(engine.CodeInvalid, "not valid JSON at byte %d: %w", syntax.Offset, err)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return engine.Errorf(engine.CodeInvalid, "the JSON ends too early")
	}
	// encoding/json has no type for this one.
	if quoted, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		if name, err := strconv.Unquote(quoted); err == nil {
			return invalidField(name, "unknown field")
		}
	}
	return engine.Errorf(engine.CodeInvalid, "not valid JSON: %w", err)
}

// checkText refuses what no store and no reader can handle: texts over their limit, NUL, and bytes that are not UTF-8.
func checkText(field, text string, limit int) error {
	switch {
	case len(text) > limit:
		return invalidField(field, "%d bytes long; at most %d are taken", len(text), limit)
	case strings.IndexByte(text, 0) >= 0:
		return invalidField(field, "contains a NUL byte")
	case !utf8.ValidString(text):
		return invalidField(field, "is not valid UTF-8")
	}
	return nil
}
