package engine

import (
	"errors"
	"fmt"
	"time"
)

// Code classes an error by what the caller can do about it.
type Code string

// The codes.
const (
	CodeInvalid      Code = "invalid"      // the input is wrong: mend it
	CodeNotFound     Code = "not_found"    // no such thing
	CodeConflict     Code = "conflict"     // the thing is in another state
	CodeUnauthorized Code = "unauthorized" // no key, or one that does not allow this
	CodeFull         Code = "full"         // a queue is full: come back
	CodeTooLarge     Code = "too_large"    // above a stated limit
	CodeUnavailable  Code = "unavailable"  // a part that is needed is down
	CodeInternal     Code = "internal"     // ours: logged, not told
)

// Error is an error with a code and a message fit for the caller. RetryAfter is set with CodeFull and CodeUnavailable.
type Error struct {
	Code       Code
	Message    string
	RetryAfter time.Duration
	Err        error
}

// Errorf makes an Error; %w wraps as in fmt.Errorf.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), Err: errors.Unwrap(err)}
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Unwrap returns the wrapped error.
func (e *Error) Unwrap() error { return e.Err }

// ErrorCode returns the code of the first Error in err's chain: "" for nil, CodeInternal when there is none.
func ErrorCode(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeInternal
}

type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }

// Permanent marks an error that no retry can cure. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanentError{err}
}

// IsPermanent reports whether err was marked by Permanent.
func IsPermanent(err error) bool {
	var p permanentError
	return errors.As(err, &p)
}
