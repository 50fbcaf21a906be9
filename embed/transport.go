package embed

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Bounds of what a server may answer, in bytes: 4096 vectors of 1024 dimensions take about 50 MB of JSON.
const (
	maxAnswer  = 64 << 20
	maxMessage = 300
)

// StatusError is an answer that is a refusal, whatever the client library would make of it.
type StatusError struct {
	Status  int
	Message string // the server's, cut, and without the API key
}

// Error implements error.
func (e *StatusError) Error() string {
	return strings.TrimSuffix(fmt.Sprintf("%d %s: %s", e.Status, http.StatusText(e.Status), e.Message), ": ")
}

// Transport carries the requests of a client library. Refusals come back as StatusError, answers that are too long to be true fail as they
// are read, and the key is in no error.
type Transport struct {
	inner *http.Transport
	key   engine.Secret
}

// NewTransport makes a transport with connections of its own.
func NewTransport(key engine.Secret) *Transport {
	return &Transport{http.DefaultTransport.(*http.Transport).Clone(), key}
}

// Close drops idle connections; calls that are under way end as they would.
func (t *Transport) Close() { t.inner.CloseIdleConnections() }

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := t.inner.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answer.Body = http.MaxBytesReader(nil, answer.Body, maxAnswer)
	if answer.StatusCode < http.StatusBadRequest {
		return answer, nil
	}
	defer func() { _ = answer.Body.Close() }() // it was only read
	body, _ := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	message := saying(body)
	if key := t.key.Reveal(); key != "" {
		message = strings.ReplaceAll(message, key, t.key.String())
	}
	return nil, &StatusError{answer.StatusCode, strings.ToValidUTF8(message[:min(len(message), maxMessage)], "")}
}

// saying is the message of an error body in one of the usual shapes, or the body.
func saying(body []byte) string {
	var shape struct {
		Error  json.RawMessage `json:"error"`
		Detail string          `json:"detail"`
	}
	var inner struct {
		Message string `json:"message"`
	}
	var text string
	switch err := json.Unmarshal(body, &shape); {
	case err == nil && shape.Detail != "":
		return shape.Detail
	case err == nil && json.Unmarshal(shape.Error, &text) == nil:
		return text
	case err == nil && json.Unmarshal(shape.Error, &inner) == nil && inner.Message != "":
		return inner.Message
	}
	return strings.TrimSpace(string(body))
}
