package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/engine/screen"
	"github.com/llm-sentinel/llm-sentinel/store/sqlite"
)

// BenchmarkLiveSeries keeps 200,000 series live in the statistical tier and 20,000 more in a SQLite store, and reports what the process
// takes under the memory limit that serve sets, how long a snapshot holds screening up, and how long it takes to be written.
func BenchmarkLiveSeries(b *testing.B) {
	const live, more, limit = 200_000, 20_000, 1400 << 20
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(limit))
	file := filepath.Join(b.TempDir(), "sentinel.db")
	store := sqlite.DefaultConfig()
	store.Path = file
	shelf, err := sqlite.Open(b.Context(), store, slog.New(slog.DiscardHandler))
	require.NoError(b, err)
	defer shelf.Close()
	cfg := screen.DefaultConfig()
	cfg.MaxSeries = live
	for b.Loop() {
		s, err := screen.New(cfg, prometheus.NewRegistry())
		require.NoError(b, err)
		s.UseShelf(shelf)
		calls := &calls{rng: rand.New(rand.NewPCG(1, 1)), at: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)}
		for n := range calls.users {
			calls.users[n] = fmt.Sprint("user-", n)
		}
		begin, spans := time.Now(), 0
		for range 2 {
			for n := range live {
				batch := calls.of(n)
				spans += len(batch)
				s.Observe(batch)
				if n%500 == 0 {
					require.NoError(b, s.Fetch(b.Context()))
				}
			}
			calls.next(s)
		}
		for n := more; n < live+more; n++ {
			batch := calls.of(n)
			spans += len(batch)
			s.Observe(batch)
			if n%500 == 0 {
				require.NoError(b, s.Fetch(b.Context()))
			}
		}
		b.ReportMetric(float64(spans)/time.Since(begin).Seconds(), "spans/s")
		resident(b, "before")

		var rest bytes.Buffer
		begin = time.Now()
		require.NoError(b, s.Snapshot(&rest))
		b.ReportMetric(float64(time.Since(begin).Milliseconds()), "stall-ms")
		begin = time.Now()
		require.NoError(b, s.Save(b.Context()))
		b.ReportMetric(time.Since(begin).Seconds(), "save-s")
		info, err := os.Stat(file)
		require.NoError(b, err)
		b.ReportMetric(float64(info.Size())/(1<<20), "store-MiB")
		for n := range 1_000 {
			s.Observe(calls.of(n))
		}
		begin = time.Now()
		require.NoError(b, s.Snapshot(&rest))
		require.NoError(b, s.Save(b.Context()))
		b.ReportMetric(float64(time.Since(begin).Milliseconds()), "small-save-ms")
		peak := resident(b, "after")
		require.Less(b, peak, 1536.0, "MiB resident at most")
		require.Len(b, s.States(), live)
	}
}

// resident reports what is resident now, and returns the most that ever was, in MiB.
func resident(b *testing.B, when string) float64 {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	require.NoError(b, err)
	values := make(map[string]float64)
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); len(f) == 3 && f[2] == "kB" {
			kib, err := strconv.ParseFloat(f[1], 64)
			require.NoError(b, err)
			values[strings.TrimSuffix(f[0], ":")] = kib / 1024
		}
	}
	b.ReportMetric(values["RssAnon"], "RssAnon-MiB-"+when)
	b.ReportMetric(values["VmRSS"], "VmRSS-MiB-"+when)
	b.ReportMetric(values["VmHWM"], "VmHWM-MiB")
	return values["VmHWM"]
}

// calls makes model calls of many series: one in ten is busy and has a new version on trial.
type calls struct {
	rng    *rand.Rand
	at     time.Time // start of the window
	traces uint64
	users  [100]string
	n      int
}

func (c *calls) of(series int) []engine.Span {
	count, version := 6, "1"
	if series%10 == 0 {
		count = 40
	}
	service, model := fmt.Sprintf("assistant-%d", series%100), fmt.Sprintf("large-language-model-%d", series)
	spans := make([]engine.Span, count)
	for i := range spans {
		if series%10 == 0 && i%2 == 1 && c.n > 0 {
			version = "2"
		}
		c.traces++
		start := c.at.Add(time.Duration(c.rng.Int64N(int64(4 * time.Minute))))
		spans[i] = engine.Span{
			SpanID: engine.SpanID{1}, Name: "chat", Service: service, Operation: engine.OpChat, Provider: "acme",
			Model: model, ResponseModel: model + "-" + version, Agent: engine.Agent{Name: "helper"}, Region: "eu-central-1", User: c.users[c.traces%uint64(len(c.users))],
			Start: start, End: start.Add(time.Duration(8e8 * math.Exp(0.5*c.rng.NormFloat64()))), Failed: c.rng.IntN(50) == 0,
			Usage: engine.Usage{
				Input: int64(900 * math.Exp(0.5*c.rng.NormFloat64())), Output: int64(300 * math.Exp(0.5*c.rng.NormFloat64())), Cost: 0.01,
			},
		}
		binary.BigEndian.PutUint64(spans[i].TraceID[8:], c.traces)
	}
	return spans
}

// next closes the window.
func (c *calls) next(s *screen.Screen) {
	c.at = c.at.Add(5 * time.Minute)
	c.n++
	s.Advance(c.at)
}
