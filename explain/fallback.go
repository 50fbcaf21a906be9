package explain

import (
	"context"
	"errors"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// The reasons why a deterministic note stands where a language model was asked.
const (
	FallbackUnavailable  = "unavailable"   // the model cannot be reached, refuses, or has failed too often lately
	FallbackTimeout      = "timeout"       // it took too long, or its turn did not come
	FallbackInvalidJSON  = "invalid_json"  // the reply is no JSON
	FallbackSchema       = "schema"        // the reply has another shape or length than was asked for
	FallbackCitation     = "citation"      // it cites nothing, or a fact, trace, span or address that does not exist
	FallbackNumber       = "number"        // a figure or a name with a digit is not in the facts that it cites
	FallbackUnknownCause = "unknown_cause" // its cause is not the likeliest of the computed ones, or is not named in the text
	FallbackBudget       = "budget"        // nothing is left to spend in this hour or day
	FallbackTooLarge     = "too_large"     // the prompt does not fit the model's context
)

// Fallbacks lists the reasons.
var Fallbacks = [...]string{
	FallbackUnavailable, FallbackTimeout, FallbackInvalidJSON, FallbackSchema, FallbackCitation, FallbackNumber,
	FallbackUnknownCause, FallbackBudget, FallbackTooLarge,
}

// callFailure names why a call did not give a reply.
func callFailure(err error) string {
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.As(err, &timeout) && timeout.Timeout():
		return FallbackTimeout
	case engine.ErrorCode(err) == engine.CodeTooLarge:
		return FallbackTooLarge
	}
	return FallbackUnavailable
}

// isPassing reports whether the same question may have an answer later, so that the deterministic note need not be kept.
func isPassing(reason string) bool {
	return reason == FallbackUnavailable || reason == FallbackTimeout || reason == FallbackBudget
}
