package screen

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// memoryShelf is a shelf that can be away.
type memoryShelf struct {
	mu   sync.Mutex
	rows map[engine.ShelfID]engine.ShelvedSeries
	away bool
}

func newMemoryShelf() *memoryShelf {
	return &memoryShelf{rows: make(map[engine.ShelfID]engine.ShelvedSeries)}
}

var errAway = errors.New("away")

func (m *memoryShelf) leave(away bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.away = away
}

func (m *memoryShelf) ShelveSeries(_ context.Context, rows []engine.ShelvedSeries) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away {
		return errAway
	}
	for _, row := range rows {
		m.rows[row.ID] = engine.ShelvedSeries{ID: row.ID, Generation: row.Generation, State: slices.Clone(row.State)}
	}
	return nil
}

func (m *memoryShelf) ShelvedSeries(_ context.Context, ids []engine.ShelfID) (out []engine.ShelvedSeries, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away {
		return nil, errAway
	}
	for _, id := range ids {
		if row, ok := m.rows[id]; ok {
			out = append(out, row)
		}
	}
	return out, nil
}

func (m *memoryShelf) NewestSeries(_ context.Context, n int, each func(engine.ShelvedSeries) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, row := range m.ordered(n) {
		if err := each(row); err != nil {
			return err
		}
	}
	return nil
}

func (m *memoryShelf) TrimSeries(_ context.Context, n int) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := len(m.rows)
	keep := m.ordered(n)
	clear(m.rows)
	for _, row := range keep {
		m.rows[row.ID] = row
	}
	return before - len(keep), nil
}

func (m *memoryShelf) ordered(n int) []engine.ShelvedSeries {
	var rows []engine.ShelvedSeries
	for _, row := range m.rows {
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b engine.ShelvedSeries) int {
		return cmp.Or(cmp.Compare(a.Generation, b.Generation), bytes.Compare(a.ID[:], b.ID[:]))
	})
	return rows[max(0, len(rows)-n):]
}

func newShelved(t testing.TB, shelf engine.Shelf, change ...func(*Config)) *Screen {
	s := newScreen(t, change...)
	s.UseShelf(shelf)
	return s
}

// save takes a snapshot and writes the series, as the pipeline does.
func save(t testing.TB, s *Screen) []byte {
	t.Helper()
	require.NoError(t, s.Fetch(t.Context()))
	var rest bytes.Buffer
	require.NoError(t, s.Snapshot(&rest))
	require.NoError(t, s.Save(t.Context()))
	return rest.Bytes()
}

// restart is a process that starts with what another has stored.
func restart(t testing.TB, rest []byte, shelf engine.Shelf, change ...func(*Config)) *Screen {
	t.Helper()
	s := newShelved(t, shelf, change...)
	require.NoError(t, s.Restore(bytes.NewReader(rest)))
	require.NoError(t, s.Load(t.Context()))
	return s
}

// tools makes spans of a few of many tools in a window: calm, slow, failing, and of two versions.
func (w *world) tools(of []int, slow, fails int) []engine.Span {
	var spans []engine.Span
	for _, n := range of {
		for range 8 + w.rng.IntN(20) {
			start := w.now.Add(time.Duration(w.rng.Int64N(int64(4 * time.Minute))))
			took := w.lognormal(200*time.Millisecond, 0.4)
			if n == slow {
				took *= 4
			}
			s := engine.Span{
				TraceID: w.id(), SpanID: engine.SpanID{1}, Service: "shop", ServiceVersion: "1", Name: "tool", Operation: engine.OpExecuteTool,
				Tool: engine.Tool{Name: fmt.Sprint("tool-", n)}, Start: start, End: start.Add(took), User: "u",
				Usage: engine.Usage{Input: int64(500 + w.rng.IntN(500))}, Failed: n == fails && w.rng.IntN(2) == 0 || w.rng.IntN(100) == 0,
			}
			if n%3 == 0 && w.rng.IntN(2) == 0 {
				s.ServiceVersion = "2"
			}
			spans = append(spans, s)
		}
	}
	w.now = w.now.Add(w.window)
	return spans
}

// A series that left memory and came back says what one says that never left: every finding, of windows and of traces, whatever was
// written when, and over restarts.
func TestSpilledSeriesComesBackExactly(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(seed)
			quick := func(c *Config) { c.MinSamples, c.AdoptAfter = 30, time.Hour }
			small := func(c *Config) { quick(c); c.MaxSeries = 12 }
			shelf := newMemoryShelf()
			whole, spilling := newScreen(t, quick), newShelved(t, shelf, small)
			came, told := 0.0, 0
			for window := range 300 {
				active := w.rng.Perm(30)[:6]
				slow, fails := -1, -1
				if window > 150 && window%5 == 0 {
					slow, fails = active[0], active[1]
				}
				spans := w.tools(active, slow, fails)
				for len(spans) > 0 {
					some := spans[:min(len(spans), 1+w.rng.IntN(60))]
					spans = spans[len(some):]
					whole.Observe(some)
					spilling.Observe(some)
					switch w.rng.IntN(8) {
					case 0:
						require.NoError(t, spilling.Fetch(t.Context()))
					case 1:
						save(t, spilling)
					case 2: // a snapshot that is still being written
						require.NoError(t, spilling.Snapshot(new(bytes.Buffer)))
					case 3:
						came += testutil.ToFloat64(spilling.shelved)
						spilling = restart(t, save(t, spilling), shelf, small)
					case 4:
						for i := range some {
							trace := engine.NewTrace(some[i].TraceID, some[i:i+1])
							require.Equal(t, whole.Score(&trace), spilling.Score(&trace))
						}
					}
				}
				findings := whole.Advance(w.now)
				require.Equal(t, findings, spilling.Advance(w.now), "window %d", window)
				for _, f := range findings {
					if strange(f) {
						told++
					}
				}
			}
			require.Zero(t, testutil.ToFloat64(spilling.evicted.WithLabelValues("series")))
			require.Greater(t, came+testutil.ToFloat64(spilling.shelved), 100.0, "series did leave")
			require.Greater(t, told, 10, "and there was something to tell")
		})
	}
}

// A series that leaves with a window open learns as one that stays: the window goes on when it comes back.
func TestSeriesLeavesWithItsOpenWindow(t *testing.T) {
	t.Parallel()
	w := newWorld(7)
	shelf := newMemoryShelf()
	whole, spilling := newScreen(t), newShelved(t, shelf, func(c *Config) { c.MaxSeries = 3 })
	for range 60 {
		spans := w.tools(w.rng.Perm(10), -1, -1)
		w.rng.Shuffle(len(spans), func(i, j int) { spans[i], spans[j] = spans[j], spans[i] })
		whole.Observe(spans)
		for i := range spans {
			spilling.Observe(spans[i : i+1])
			require.NoError(t, spilling.Fetch(t.Context()))
			if w.rng.IntN(100) == 0 {
				save(t, spilling)
			}
		}
		whole.Advance(w.now)
		spilling.Advance(w.now)
	}
	spans := w.tools(w.rng.Perm(10), -1, -1)
	whole.Observe(spans)
	whole.Advance(w.now)
	spilling.Observe(spans)
	spilling.Advance(w.now)
	save(t, spilling)
	all := restart(t, save(t, spilling), shelf)
	all.Advance(w.now.Add(w.window))
	require.Len(t, all.States(), 10)
	for _, st := range all.States() {
		same := slices.IndexFunc(whole.States(), func(other engine.LearningState) bool { return other.Series == st.Series })
		require.Equal(t, whole.States()[same].Seen, st.Seen, "%s", st.Series)
	}
}

// What is written is one moment, though series change while it is written.
func TestSaveWritesTheMomentOfTheSnapshot(t *testing.T) {
	t.Parallel()
	w := newWorld(3)
	shelf := newMemoryShelf()
	s := newShelved(t, shelf)
	for range 40 {
		s.Observe(w.tools(w.rng.Perm(30), -1, -1))
		s.Advance(w.now)
	}
	s.Observe(w.tools(w.rng.Perm(30), -1, -1))
	then := make(map[engine.ShelfID][]byte)
	for _, x := range s.series.all() {
		data, err := x.MarshalBinary()
		require.NoError(t, err)
		then[shelfID(x.key)] = data
	}
	var rest bytes.Buffer
	require.NoError(t, s.Snapshot(&rest))
	s.Observe(w.tools(w.rng.Perm(40)[:20], -1, -1))
	s.Advance(w.now)
	require.NoError(t, s.Save(t.Context()))
	require.Len(t, shelf.rows, len(then))
	for id, state := range then {
		require.Equal(t, state, shelf.rows[id].State)
	}
	// Only what changed is written by the next.
	save(t, s)
	require.NoError(t, s.Fetch(t.Context()))
	save(t, s)
	generation := s.generation
	s.Observe(w.tools([]int{1, 2}, -1, -1))
	save(t, s)
	fresh := 0
	for _, row := range shelf.rows {
		if row.Generation > generation {
			fresh++
		}
	}
	require.Equal(t, 2, fresh)
}

// While the store is away series wait in memory, up to a bound; what does not fit is counted.
func TestStoreThatIsAwayLosesNothingThatFits(t *testing.T) {
	t.Parallel()
	w := newWorld(5)
	shelf := newMemoryShelf()
	whole, s := newScreen(t), newShelved(t, shelf, func(c *Config) { c.MaxSeries = 5 })
	observe := func(of ...int) {
		spans := w.tools(of, -1, -1)
		whole.Observe(spans)
		whole.Advance(w.now)
		s.Observe(spans)
		s.Advance(w.now)
	}
	observe(0, 1, 2, 3, 4)
	observe(5, 6, 7, 8, 9)
	save(t, s)
	shelf.leave(true)
	observe(6, 7)
	for range 3 {
		observe(0, 1, 2)
		require.NoError(t, s.Snapshot(new(bytes.Buffer)))
		require.ErrorIs(t, s.Save(t.Context()), errAway)
	}
	require.Error(t, s.Fetch(t.Context()), "it is told that series wait")
	shelf.leave(false)
	s.away = time.Time{}
	require.NoError(t, errors.Join(s.Fetch(t.Context()), s.Fetch(t.Context())))
	rest := save(t, s)
	require.Empty(t, s.marked)
	require.Empty(t, s.waiting)
	require.Zero(t, s.held)
	all := restart(t, rest, shelf)
	all.Advance(w.now.Add(w.window))
	require.ElementsMatch(t, whole.States(), all.States())
}

func TestTooManyHeldSpansBeginAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(6)
	shelf := newMemoryShelf()
	s := newShelved(t, shelf)
	shelf.leave(true)
	many := make([]engine.Span, maxHeld+1)
	one := w.tools([]int{1}, -1, -1)[0]
	for i := range many {
		many[i] = one
	}
	s.Observe(many)
	require.Zero(t, s.held)
	require.Equal(t, 1.0, testutil.ToFloat64(s.evicted.WithLabelValues("series")))
}

func TestRestartWithLessRoomKeepsTheRestOnTheShelf(t *testing.T) {
	t.Parallel()
	w := newWorld(8)
	shelf := newMemoryShelf()
	s := newShelved(t, shelf)
	for range 10 {
		s.Observe(w.tools(w.rng.Perm(20), -1, -1))
		s.Advance(w.now)
	}
	rest := save(t, s)
	less := restart(t, rest, shelf, func(c *Config) { c.MaxSeries = 4 })
	require.Len(t, less.States(), 4)
	spans := w.tools([]int{0, 1, 2}, -1, -1)
	for i := range spans {
		trace := engine.NewTrace(spans[i].TraceID, spans[i:i+1])
		require.Equal(t, s.Score(&trace), less.Score(&trace))
	}
	require.Len(t, less.States(), 4, "to be asked about brings nothing back")
}

func TestShelfIsTrimmed(t *testing.T) {
	t.Parallel()
	w := newWorld(9)
	shelf := newMemoryShelf()
	s := newShelved(t, shelf, func(c *Config) { c.MaxSeries, c.MaxShelved = 4, 10 })
	for n := range 30 {
		s.Observe(w.tools([]int{n}, -1, -1))
		save(t, s)
	}
	require.Len(t, shelf.rows, 10)
	require.Equal(t, 20.0, testutil.ToFloat64(s.evicted.WithLabelValues("shelved")))
}

func TestUnreadableRowsAreTold(t *testing.T) {
	t.Parallel()
	w := newWorld(10)
	shelf := newMemoryShelf()
	s := newShelved(t, shelf)
	s.Observe(w.tools([]int{1, 2}, -1, -1))
	rest := save(t, s)
	for id, row := range shelf.rows {
		row.State = row.State[:len(row.State)/2]
		shelf.rows[id] = row
		break
	}
	after := newShelved(t, shelf)
	require.NoError(t, after.Restore(bytes.NewReader(rest)))
	require.Equal(t, engine.CodeInvalid, engine.ErrorCode(after.Load(t.Context())))
	require.Len(t, after.States(), 1)
}

// Score, Fetch and Save come from other goroutines than Observe.
func TestShelfIsUsedBesideScreening(t *testing.T) {
	t.Parallel()
	w := newWorld(11)
	s := newShelved(t, newMemoryShelf(), func(c *Config) { c.MaxSeries = 6 })
	done := make(chan struct{})
	var beside sync.WaitGroup
	traces := w.tools(rand.New(rand.NewPCG(1, 1)).Perm(20), -1, -1)
	for _, do := range []func(){
		func() { _ = s.Fetch(context.Background()) },
		func() { _ = s.Snapshot(new(bytes.Buffer)); _ = s.Save(context.Background()) },
		func() {
			trace := engine.NewTrace(traces[0].TraceID, traces[:4])
			s.Score(&trace)
		},
	} {
		beside.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					do()
				}
			}
		})
	}
	for range 30 {
		s.Observe(w.tools(w.rng.Perm(20), -1, -1))
		s.Advance(w.now)
	}
	close(done)
	beside.Wait()
	require.LessOrEqual(t, s.series.len(), 6)
}

// FuzzSeries shows that whatever bytes a shelf holds are refused or can be worked with, and are written as they were read.
func FuzzSeries(f *testing.F) {
	w := newWorld(12)
	s := newScreen(f)
	for range 8 {
		s.Observe(w.tools([]int{0, 3}, 3, 0))
		s.Advance(w.now)
	}
	s.Observe(w.tools([]int{0, 3}, 3, 0))
	for _, x := range s.series.all() {
		data, err := x.MarshalBinary()
		require.NoError(f, err)
		f.Add(data)
		f.Add(data[:len(data)/2])
	}
	spans := w.tools([]int{0}, -1, -1)
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := New(DefaultConfig(), prometheus.NewRegistry())
		require.NoError(t, err)
		x, err := readSeries(&s.nothing, data)
		if err != nil {
			return
		}
		again, err := x.MarshalBinary()
		require.NoError(t, err)
		y, err := readSeries(&s.nothing, again)
		require.NoError(t, err)
		require.Equal(t, x, y)
		s.series.add(x)
		for i := range spans {
			s.take(x, &spans[i], true)
		}
		s.Advance(w.now)
	})
}
