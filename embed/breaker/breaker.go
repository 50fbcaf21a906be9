package breaker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Config says when an embedder is left alone and for how long.
type Config struct {
	Failures int           `yaml:"failures"` // in a row, 1 to 1000
	Pause    time.Duration `yaml:"pause"`    // wall time
}

// DefaultConfig leaves an embedder alone for ten seconds after three failures.
func DefaultConfig() Config { return Config{Failures: 3, Pause: 10 * time.Second} }

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	switch {
	case c.Failures < 1 || c.Failures > 1000:
		return fmt.Errorf("breaker: failures is %d, want 1 to 1000", c.Failures)
	case c.Pause <= 0:
		return fmt.Errorf("breaker: pause is %v, want more than 0", c.Pause)
	}
	return nil
}

// Embedder calls the inner embedder unless that is being left alone. It is safe for concurrent use.
type Embedder struct {
	inner   engine.Embedder
	pause   time.Duration
	circuit *gobreaker.CircuitBreaker[[][]float32]
}

// New puts a breaker in front of inner.
func New(inner engine.Embedder, cfg Config, logger *slog.Logger) (*Embedder, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	log := logger.With("component", "embed.breaker", "model", inner.Model().Name)
	return &Embedder{inner, cfg.Pause, gobreaker.NewCircuitBreaker[[][]float32](gobreaker.Settings{
		MaxRequests:  1,
		Timeout:      cfg.Pause,
		ReadyToTrip:  func(c gobreaker.Counts) bool { return int(c.ConsecutiveFailures) >= cfg.Failures },
		IsSuccessful: func(err error) bool { return err == nil || engine.ErrorCode(err) == engine.CodeInvalid },
		IsExcluded:   func(err error) bool { return errors.Is(err, context.Canceled) },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			log.Warn("circuit breaker changed", "from", from.String(), "to", to.String())
		},
	})}, nil
}

// Embed implements engine.Embedder.
func (e *Embedder) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	vectors, err := e.circuit.Execute(func() ([][]float32, error) { return e.inner.Embed(ctx, texts) })
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		return nil, &engine.Error{
			Code: engine.CodeUnavailable, Message: fmt.Sprintf("embedder %s kept failing and is left alone for %v", e.Model().Name, e.pause), RetryAfter: e.pause,
		}
	}
	return vectors, err
}

// Model is the inner embedder's.
func (e *Embedder) Model() engine.Model { return e.inner.Model() }

// Open reports whether the embedder is being left alone.
func (e *Embedder) Open() bool { return e.circuit.State() == gobreaker.StateOpen }
