package retrievaltest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Server is a server that a test may stop, and start again with the data that it had.
type Server interface {
	Stop(t testing.TB)
	Start(t testing.TB)
}

// outlivesItsServer stops and starts the server while it is written to and asked. Calls may fail meanwhile, as unavailable;
// what was acknowledged is there afterwards, and nobody has to open the memory again.
func outlivesItsServer(t *testing.T, m engine.Memory, server Server) {
	const writers = 3
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	var written, failed atomic.Int64
	acknowledged := make([]int, writers)
	codes := make(chan engine.Code, 1<<16)
	fails := func(err error) bool {
		if err == nil {
			return false
		}
		select {
		case codes <- engine.ErrorCode(err):
		default: // enough of them
		}
		failed.Add(1)
		time.Sleep(time.Millisecond) // nobody asks again without a pause, and the server needs the processor to start
		return true
	}
	for w := range writers {
		wg.Go(func() {
			for ctx.Err() == nil {
				item := memo(fmt.Sprintf("%d-%d", w, acknowledged[w]), float64(w))
				item.Service = fmt.Sprint("writer-", w)
				if fails(m.Remember(t.Context(), []engine.Memo{item})) {
					continue
				}
				acknowledged[w]++
				written.Add(1)
			}
		})
	}
	wg.Go(func() {
		for ctx.Err() == nil {
			_, err := m.Nearest(t.Context(), all())
			fails(err)
		}
	})
	advance := func(counter *atomic.Int64, by int64) {
		t.Helper()
		from := counter.Load()
		require.Eventually(t, func() bool { return counter.Load() >= from+by }, time.Minute, time.Millisecond)
	}
	for range 2 {
		advance(&written, 20)
		server.Stop(t)
		advance(&failed, 10)
		_, err := m.Forget(t.Context(), engine.Filter{Collection: normal, Service: "none"})
		require.Equal(t, engine.CodeUnavailable, engine.ErrorCode(err), "%v", err)
		server.Start(t)
		advance(&written, 20)
	}
	stop()
	wg.Wait()
	close(codes)
	for code := range codes {
		require.Equal(t, engine.CodeUnavailable, code)
	}
	for w, n := range acknowledged {
		q := query(engine.Filter{Collection: normal, Service: fmt.Sprint("writer-", w)})
		q.K = n + 1
		found := map[string]bool{}
		for _, id := range ids(nearest(t, m, q)) {
			found[id] = true
		}
		for i := range n {
			require.True(t, found[fmt.Sprintf("%d-%d", w, i)], "acknowledged and lost")
		}
	}
	t.Logf("%d memos acknowledged, %d calls failed, none lost", written.Load(), failed.Load())
}
