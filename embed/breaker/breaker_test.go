package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/embed/breaker"
	"github.com/llm-sentinel/llm-sentinel/engine"
)

// server fails as it is told to.
type server struct {
	err   error
	calls int
}

func (s *server) Embed(_ context.Context, texts []string) ([][]float32, error) {
	if s.calls++; s.err != nil {
		return nil, s.err
	}
	return make([][]float32, len(texts)), nil
}

func (s *server) Model() engine.Model { return engine.Model{Name: "m", Version: "1", Dimension: 2} }

func newBreaker(t *testing.T, s *server) *breaker.Embedder {
	t.Helper()
	b, err := breaker.New(s, breaker.DefaultConfig(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.Equal(t, s.Model(), b.Model())
	return b
}

var down = engine.Errorf(engine.CodeUnavailable, "connection refused")

func TestServerThatKeepsFailingIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{err: down}
		b := newBreaker(t, s)
		for range 3 {
			_, err := b.Embed(t.Context(), []string{"a"})
			require.ErrorIs(t, err, down)
		}
		require.True(t, b.Open())
		_, err := b.Embed(t.Context(), []string{"a"})
		require.Equal(t, engine.CodeUnavailable, engine.ErrorCode(err))
		require.ErrorContains(t, err, "embedder m kept failing")
		require.Equal(t, 3, s.calls)

		time.Sleep(11 * time.Second)
		_, err = b.Embed(t.Context(), []string{"a"})
		require.ErrorIs(t, err, down, "one call is let through")
		require.True(t, b.Open())
		time.Sleep(11 * time.Second)
		s.err = nil
		vectors, err := b.Embed(t.Context(), []string{"a", "b"})
		require.NoError(t, err)
		require.Len(t, vectors, 2)
		require.False(t, b.Open())
	})
}

func TestWhatSaysNothingOfTheServerOpensNothing(t *testing.T) {
	for name, err := range map[string]error{
		"the caller went away":      fmt.Errorf("embed: %w", context.Canceled),
		"the text was refused":      engine.Errorf(engine.CodeInvalid, "too long"),
		"two failures now and then": nil,
	} {
		s := &server{err: err}
		b := newBreaker(t, s)
		for range 10 {
			if err == nil {
				for _, s.err = range []error{down, down, nil} {
					_, _ = b.Embed(t.Context(), []string{"a"})
				}
				continue
			}
			_, got := b.Embed(t.Context(), []string{"a"})
			require.ErrorIs(t, got, err, name)
		}
		require.False(t, b.Open(), name)
	}
}

func TestValidate(t *testing.T) {
	for field, cfg := range map[string]breaker.Config{"failures": {Pause: time.Second}, "pause": {Failures: 1}} {
		_, err := breaker.New(&server{err: errors.New("unused")}, cfg, slog.New(slog.DiscardHandler))
		require.ErrorContains(t, err, field)
	}
}
