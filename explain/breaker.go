package explain

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/sony/gobreaker/v2"
)

const (
	breakerFailures = 3           // in a row until the model is left alone
	breakerPause    = time.Minute // for how long
)

// breaker leaves a model alone that keeps failing.
type breaker struct {
	circuit *gobreaker.CircuitBreaker[Reply]
}

func newBreaker(name string, log *slog.Logger) *breaker {
	return &breaker{gobreaker.NewCircuitBreaker[Reply](gobreaker.Settings{
		Name:        name,
		MaxRequests: 1,
		Timeout:     breakerPause,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= breakerFailures },
		IsExcluded:  func(err error) bool { return errors.Is(err, context.Canceled) || callFailure(err) == FallbackTooLarge },
		OnStateChange: func(name string, from, to gobreaker.State) {
			log.Warn("circuit breaker changed", "model", name, "from", from.String(), "to", to.String())
		},
	})}
}

// call runs fn unless the model is being left alone; its error is then one of the circuit's own.
func (b *breaker) call(fn func() (Reply, error)) (Reply, error) { return b.circuit.Execute(fn) }

// isOpen reports whether a call was not made because the model is being left alone.
func isOpen(err error) bool {
	return errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests)
}
