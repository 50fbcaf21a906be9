package batch_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/llm-sentinel/llm-sentinel/embed/batch"
	"github.com/llm-sentinel/llm-sentinel/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server embeds a text as its length and takes a second for a call, whatever is in it.
type server struct {
	mu    sync.Mutex
	calls [][]string
	short bool
}

func (s *server) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	s.mu.Lock()
	s.calls = append(s.calls, slices.Clone(texts))
	s.mu.Unlock()
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	out := make([][]float32, len(texts))
	for i, text := range texts {
		switch {
		case strings.HasPrefix(text, "bad"):
			return nil, engine.Errorf(engine.CodeInvalid, "the server refuses a text")
		case strings.HasPrefix(text, "down"):
			return nil, engine.Errorf(engine.CodeUnavailable, "connection refused")
		}
		out[i] = []float32{float32(len(text))}
	}
	if s.short {
		out = out[1:]
	}
	return out, nil
}

func (s *server) made() [][]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

func (s *server) Model() engine.Model { return engine.Model{Name: "m", Dimension: 1} }

func newBatch(t *testing.T, s *server, cfg batch.Config) *batch.Embedder {
	t.Helper()
	e, err := batch.New(s, cfg)
	require.NoError(t, err)
	require.Equal(t, s.Model(), e.Model())
	return e
}

// ask calls beside the others, and is over when the bubble is.
func ask(t *testing.T, e *batch.Embedder, texts []string, check func(vectors [][]float32, err error)) {
	go func() { check(e.Embed(t.Context(), texts)) }()
	synctest.Wait()
}

func lengths(t *testing.T, texts ...string) ([]string, func([][]float32, error)) {
	return texts, func(vectors [][]float32, err error) {
		if err != nil || len(vectors) != len(texts) {
			t.Errorf("%v: %v, %v", texts, vectors, err)
			return
		}
		for i := range texts {
			if vectors[i][0] != float32(len(texts[i])) {
				t.Errorf("%v: got %v", texts, vectors)
			}
		}
	}
}

func TestCallersThatWaitGoTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{}
		e := newBatch(t, s, batch.Config{MaxTexts: 4, MaxCalls: 1})
		for _, texts := range [][]string{{"first"}, {"a", "bb"}, {"ccc"}, {"dddd", "e"}, {"1", "2", "3", "4", "5"}, {"f"}} {
			some, check := lengths(t, texts...)
			ask(t, e, some, check)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		require.Equal(t, [][]string{{"first"}, {"a", "bb", "ccc"}, {"dddd", "e"}, {"1", "2", "3", "4", "5"}, {"f"}}, s.made(),
			"nobody waits for company, and who has more than fit goes alone")
		require.EqualValues(t, 1, e.Joined())
	})
}

func TestCallsAtOnceAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{}
		e := newBatch(t, s, batch.Config{MaxTexts: 100, MaxCalls: 2})
		for i := range 50 {
			some, check := lengths(t, fmt.Sprintf("%0*d", i+1, 0))
			ask(t, e, some, check)
		}
		require.Len(t, s.made(), 2)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		require.Len(t, s.made(), 3, "one after the other would be fifty")
	})
}

func TestNobodyFailsForAnothersText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{}
		e := newBatch(t, s, batch.Config{MaxTexts: 10, MaxCalls: 1})
		first, check := lengths(t, "first")
		ask(t, e, first, check)
		good, check := lengths(t, "good", "better")
		ask(t, e, good, check)
		ask(t, e, []string{"bad"}, func(vectors [][]float32, err error) {
			if engine.ErrorCode(err) != engine.CodeInvalid || vectors != nil {
				t.Errorf("%v, %v", vectors, err)
			}
		})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		require.Equal(t, [][]string{{"first"}, {"good", "better", "bad"}, {"good", "better"}, {"bad"}}, s.made())
	})
}

func TestServerThatIsDownIsNotAskedForEachCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{}
		e := newBatch(t, s, batch.Config{MaxTexts: 10, MaxCalls: 1})
		first, check := lengths(t, "first")
		ask(t, e, first, check)
		for range 3 {
			ask(t, e, []string{"down"}, func(_ [][]float32, err error) {
				if engine.ErrorCode(err) != engine.CodeUnavailable {
					t.Error(err)
				}
			})
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		require.Len(t, s.made(), 2)
	})
}

func TestCallerThatGoesAwayHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{}
		e := newBatch(t, s, batch.Config{MaxTexts: 10, MaxCalls: 1})
		impatient, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		go func() { _, _ = e.Embed(impatient, []string{"alone"}) }()
		synctest.Wait()
		late, stop := context.WithCancel(t.Context())
		go func() {
			if _, err := e.Embed(late, []string{"gone before its turn"}); err == nil {
				t.Error("no error")
			}
		}()
		synctest.Wait()
		stop()
		synctest.Wait()
		begun := time.Now()
		some, check := lengths(t, "patient")
		ask(t, e, some, func(vectors [][]float32, err error) {
			check(vectors, err)
			if took := time.Since(begun); took > 1100*time.Millisecond {
				t.Errorf("took %v: a call of which all callers have gone is broken off", took)
			}
		})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		require.Equal(t, [][]string{{"alone"}, {"patient"}}, s.made())
	})
}

func TestTooFewVectorsAreAnError(t *testing.T) {
	e := newBatch(t, &server{short: true}, batch.DefaultConfig())
	vectors, err := e.Embed(t.Context(), []string{"a", "b"})
	require.ErrorContains(t, err, "1 vectors for 2 texts")
	require.Nil(t, vectors)
	vectors, err = e.Embed(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, vectors)
}

func TestValidate(t *testing.T) {
	for field, cfg := range map[string]batch.Config{"max_texts": {MaxCalls: 1}, "max_calls": {MaxTexts: 1}} {
		_, err := batch.New(&server{}, cfg)
		require.ErrorContains(t, err, field)
	}
}
