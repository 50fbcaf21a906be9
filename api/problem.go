package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Problem is an error as the API tells it (RFC 9457, application/problem+json).
type Problem struct {
	Type     string `json:"type"`     // "urn:llm-sentinel:problem:" and the code
	Title    string `json:"title"`    // the same for each code
	Status   int    `json:"status"`   // as in the HTTP answer
	Detail   string `json:"detail"`   // what is wrong with this request
	Instance string `json:"instance"` // the request's id, as in the log and in X-Request-Id
	Code     string `json:"code"`
	Field    string `json:"field,omitempty"` // the field or parameter that is wrong
}

// kind is what all problems with one code share.
type kind struct {
	status int
	code   string
	title  string
}

// Codes beside those of the engine stand for what only HTTP knows.
var (
	problemInvalid          = kind{http.StatusBadRequest, "invalid", "The request is not valid"}
	problemUnauthorized     = kind{http.StatusUnauthorized, "unauthorized", "A valid API key is needed"}
	problemForbidden        = kind{http.StatusForbidden, "forbidden", "The API key does not allow this"}
	problemCrossOrigin      = kind{http.StatusForbidden, "cross_origin", "Requests from other sites are refused"}
	problemNotFound         = kind{http.StatusNotFound, "not_found", "There is no such thing"}
	problemMethodNotAllowed = kind{http.StatusMethodNotAllowed, "method_not_allowed", "The method is not allowed here"}
	problemConflict         = kind{http.StatusConflict, "conflict", "The state does not allow this"}
	problemTooLarge         = kind{http.StatusRequestEntityTooLarge, "too_large", "The request is too large"}
	problemMediaType        = kind{http.StatusUnsupportedMediaType, "unsupported_media_type", "The content type is not understood"}
	problemUpgradeRequired  = kind{http.StatusUpgradeRequired, "upgrade_required", "Another protocol is needed"}
	problemMisdirected      = kind{http.StatusMisdirectedRequest, "misdirected", "This server does not go by that name"}
	problemFull             = kind{http.StatusTooManyRequests, "full", "Too much at once"}
	problemUnavailable      = kind{http.StatusServiceUnavailable, "unavailable", "A needed part is not available"}
	problemInternal         = kind{http.StatusInternalServerError, "internal", "Something went wrong here"}
)

// statusClientGone is logged and counted when the client left before its answer; nobody receives it.
const statusClientGone = 499

const defaultRetryAfter = time.Second

// httpError is an error that only HTTP knows.
type httpError struct {
	kind
	detail string
}

func (e httpError) Error() string { return e.detail }

// fieldError names the field that an invalid request got wrong.
type fieldError struct {
	field  string
	detail string
}

func (e fieldError) Error() string { return e.field + ": " + e.detail }

func invalidField(field, format string, args ...any) error {
	return fieldError{field: field, detail: fmt.Sprintf(format, args...)}
}

// describe turns an error into what the caller may know of it.
func describe(err error) (kind, Problem) {
	var (
		field   fieldError
		ours    httpError
		coded   *engine.Error
		problem Problem
	)
	problem.Detail = err.Error()
	switch {
	case errors.As(err, &field):
		problem.Field = field.field
		return problemInvalid, problem
	case errors.As(err, &ours):
		return ours.kind, problem
	case errors.Is(err, context.DeadlineExceeded):
		problem.Detail = "the answer took too long"
		return problemUnavailable, problem
	case errors.As(err, &coded):
		problem.Detail = coded.Message
	}
	switch engine.ErrorCode(err) {
	case engine.CodeInvalid:
		return problemInvalid, problem
	case engine.CodeNotFound:
		return problemNotFound, problem
	case engine.CodeConflict:
		return problemConflict, problem
	case engine.CodeUnauthorized:
		if errors.Is(err, errForbidden) {
			return problemForbidden, problem
		}
		return problemUnauthorized, problem
	case engine.CodeFull:
		return problemFull, problem
	case engine.CodeTooLarge:
		return problemTooLarge, problem
	case engine.CodeUnavailable:
		return problemUnavailable, problem
	}
	problem.Detail = "the error is in the server's log under this instance"
	return problemInternal, problem
}

// fail answers with the problem that err is. Nothing is written when an answer is already under way.
func (s *Server) fail(c *gin.Context, err error) {
	c.Abort()
	if c.Writer.Written() {
		s.logger.WarnContext(c, "answer broken off", "request_id", requestID(c), "error", err)
		return
	}
	if c.Request.Context().Err() != nil {
		c.Status(statusClientGone)
		return
	}
	known, problem := describe(err)
	problem.Type, problem.Title, problem.Status, problem.Code = "urn:llm-sentinel:problem:"+known.code, known.title, known.status, known.code
	problem.Instance = "urn:uuid:" + requestID(c)

	switch known.status {
	case http.StatusInternalServerError:
		s.logger.ErrorContext(c, "request failed", "request_id", requestID(c), "method", c.Request.Method, "route", c.FullPath(), "error", err)
	case http.StatusUnauthorized:
		c.Header("WWW-Authenticate", `Bearer realm="llm-sentinel"`)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		c.Header("Retry-After", strconv.Itoa(retrySeconds(err)))
	}
	body, err := json.Marshal(problem)
	if err != nil { // strings and an int always marshal
		c.Status(http.StatusInternalServerError)
		return
	}
	c.Data(known.status, "application/problem+json", body)
}

func retrySeconds(err error) int {
	wait := defaultRetryAfter
	var coded *engine.Error
	if errors.As(err, &coded) && coded.RetryAfter > 0 {
		wait = coded.RetryAfter
	}
	return int(max(1, math.Ceil(wait.Seconds())))
}

// reply writes v as JSON. A value that does not marshal is an internal error, not a broken answer.
func reply(c *gin.Context, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("api: answer of %s: %w", c.FullPath(), err)
	}
	c.Data(status, "application/json", body)
	return nil
}
