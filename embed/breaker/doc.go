// Package breaker leaves an embedder alone that keeps failing, so that callers turn to another at once instead of waiting for its time
// limits one after the other.
//
// Texts flow through to the inner embedder and its vectors back. After some failures in a row calls fail at once with
// [engine.CodeUnavailable]; after a pause one call is let through, and its success opens the way again. A caller that goes away and a text
// that is refused say nothing of the server. The package keeps and logs no text.
package breaker
