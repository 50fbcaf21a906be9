package engine

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type counts map[string]int

func (c counts) drop(reason string, n int) { c[reason] += n }

func assembling(change ...func(*AssemblyConfig)) (*assembler, counts) {
	cfg := DefaultConfig().Assembly
	for _, f := range change {
		f(&cfg)
	}
	dropped := make(counts)
	return newAssembler(cfg, dropped.drop), dropped
}

func TestTraceIsCompleteOnceItsRootHasEndedAndItIsQuiet(t *testing.T) {
	t.Parallel()
	a, dropped := assembling()
	quiet := a.cfg.QuietAfterRoot
	require.True(t, a.add(span(1, 2, 1, began), nil))
	require.Empty(t, a.complete(began.Add(quiet+time.Minute)), "the root has not come")
	root := span(1, 1, 0, began.Add(-time.Second))
	root.End = began.Add(3 * time.Second)
	require.True(t, a.add(root, nil))
	require.Empty(t, a.complete(root.End.Add(quiet-1)))
	done := a.complete(root.End.Add(quiet))
	require.Len(t, done, 1)
	require.Len(t, done[0].spans, 2)
	require.False(t, done[0].late)
	require.Empty(t, dropped)
	require.Zero(t, a.bytes)
}

func TestTraceWithoutRootIsCompleteWhenItIsOld(t *testing.T) {
	t.Parallel()
	a, _ := assembling()
	require.True(t, a.add(span(1, 2, 1, began), nil))
	require.Empty(t, a.complete(began.Add(a.cfg.QuietWithoutRoot)))
	require.Len(t, a.complete(began.Add(time.Second+a.cfg.QuietWithoutRoot)), 1)
}

func TestMillionSpansInOneTraceStayBounded(t *testing.T) {
	t.Parallel()
	a, dropped := assembling(func(c *AssemblyConfig) { c.MaxSpans = 100 })
	const n = 1_000_000
	kept := 0
	for i := range n {
		s := span(1, i+2, 1, began)
		require.True(t, a.add(s, nil), "each is new to screening")
		if i%10_000 == 0 {
			for _, done := range a.complete(s.End) {
				kept += len(done.spans)
			}
		}
		require.LessOrEqual(t, len(a.open[traceID(1)].spansOrNone()), 100)
	}
	require.LessOrEqual(t, a.bytes, int64(100*2*spanOverhead))
	for _, done := range a.drain() {
		kept += len(done.spans)
	}
	require.Equal(t, n, kept+dropped[dropOversizeTrace], "what is not kept is counted")
	require.Less(t, kept, n/10)
}

func (t *assembly) spansOrNone() []Span {
	if t == nil {
		return nil
	}
	return t.spans
}

func TestTooLargeTraceIsCompleteAtOnce(t *testing.T) {
	t.Parallel()
	a, dropped := assembling(func(c *AssemblyConfig) { c.MaxSpans = 3 })
	for i := range 4 {
		a.add(span(1, i+2, 1, began), nil)
	}
	require.Len(t, a.complete(began.Add(time.Second)), 1, "no need to wait for a root")
	require.Equal(t, 1, dropped[dropOversizeTrace])
}

func TestBoundsCompleteTheTraceThatWouldEndFirst(t *testing.T) {
	t.Parallel()
	for name, bound := range map[string]func(*AssemblyConfig){
		"traces": func(c *AssemblyConfig) { c.MaxTraces = 2 },
		"bytes":  func(c *AssemblyConfig) { c.MaxBytes = 2*spanOverhead + 10 },
	} {
		t.Run(name, func(t *testing.T) {
			a, dropped := assembling(bound)
			for n := range 3 {
				a.add(span(n+1, 1, 0, began.Add(time.Duration(3-n)*time.Second)), nil)
			}
			done := a.complete(began)
			require.Len(t, done, 1)
			require.Equal(t, traceID(3), done[0].id)
			require.Equal(t, 1, dropped[dropEarlyTrace])
		})
	}
}

func TestLateSpanMakesAnAmendment(t *testing.T) {
	t.Parallel()
	a, dropped := assembling()
	a.add(span(1, 1, 0, began), nil)
	a.add(span(1, 2, 1, began), nil)
	require.Len(t, a.complete(began.Add(time.Hour)), 1)
	require.True(t, a.add(span(1, 3, 1, began), nil))
	done := a.complete(began.Add(time.Hour))
	require.Len(t, done, 1, "its quiet time is over already")
	require.True(t, done[0].late)
	require.Len(t, done[0].spans, 1)

	require.False(t, a.add(span(1, 3, 1, began), nil), "known from the amendment")
	require.False(t, a.add(span(1, 2, 1, began), nil), "known from before")
	require.Equal(t, 2, dropped[dropDuplicate])
	require.Empty(t, a.drain())
}

func TestRepeatedSpanIsNotCountedTwice(t *testing.T) {
	t.Parallel()
	a, dropped := assembling()
	require.True(t, a.add(span(1, 1, 0, began), nil))
	require.False(t, a.add(span(1, 1, 0, began), nil))
	require.Equal(t, counts{dropDuplicate: 1}, dropped)
	require.Len(t, a.drain()[0].spans, 1)
}

func TestContentIsJoinedBeforeAndAfterItsSpan(t *testing.T) {
	t.Parallel()
	a, dropped := assembling()
	a.join(Content{TraceID: traceID(1), SpanID: spanID(2), At: began, Input: user("before")}, nil)
	a.join(Content{TraceID: traceID(1), SpanID: spanID(7), At: began, Input: user("of nobody")}, nil)
	a.add(span(1, 1, 0, began), nil)
	a.add(span(1, 2, 1, began), nil)
	a.join(Content{TraceID: traceID(1), SpanID: spanID(2), At: began, Output: user("after")}, nil)
	done := a.complete(began.Add(time.Hour))
	require.Len(t, done, 1)
	trace := NewTrace(done[0].id, done[0].spans)
	require.Equal(t, "before", trace.Spans[1].Input[0].Text())
	require.Equal(t, "after", trace.Spans[1].Output[0].Text())
	require.Empty(t, trace.Spans[0].Input)
	require.Equal(t, 1, dropped[dropOrphanContent])
	require.Zero(t, a.bytes)

	a.join(Content{TraceID: traceID(1), SpanID: spanID(2), At: began}, nil)
	require.Equal(t, 1, dropped[dropLateContent])
	require.Empty(t, a.open)
}

func TestContentAloneDoesNotStayForever(t *testing.T) {
	t.Parallel()
	a, dropped := assembling(func(c *AssemblyConfig) { c.MaxSpans = 5 })
	for range 9 {
		a.join(Content{TraceID: traceID(1), SpanID: spanID(2), At: began, Input: user("x")}, nil)
	}
	require.Equal(t, 4, dropped[dropOversizeTrace])
	done := a.complete(began.Add(a.cfg.QuietWithoutRoot))
	require.Len(t, done, 1)
	require.Empty(t, done[0].spans)
	require.Equal(t, 5, dropped[dropOrphanContent])
	require.True(t, a.add(span(1, 2, 0, began), nil))
	require.False(t, a.open[traceID(1)].late, "nothing of it was judged")
}

func TestOddParentsMakeATraceAllTheSame(t *testing.T) {
	t.Parallel()
	for name, spans := range map[string][]Span{
		"a cycle":                       {span(1, 1, 2, began), span(1, 2, 1, began)},
		"a span that is its own parent": {span(1, 1, 1, began)},
		"a parent that never comes":     {span(1, 1, 9, began), span(1, 2, 9, began.Add(1))},
		"two roots":                     {span(1, 1, 0, began), span(1, 2, 0, began.Add(1))},
	} {
		t.Run(name, func(t *testing.T) {
			a, _ := assembling()
			for _, s := range spans {
				require.True(t, a.add(s, nil))
			}
			done := a.complete(began.Add(time.Hour))
			require.Len(t, done, 1)
			trace := NewTrace(done[0].id, done[0].spans)
			require.Len(t, trace.Spans, len(spans))
			require.NotNil(t, trace.Lead())
			require.False(t, trace.End().Before(trace.Start()))
		})
	}
}

// Whatever the order in which spans come and traces are completed, each span ends up in exactly one trace, receipts are let go
// once, and nothing is left.
func TestNothingIsLostOrDoubledInAnyOrder(t *testing.T) {
	t.Parallel()
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 0))
		a, dropped := assembling(func(c *AssemblyConfig) { c.MaxTraces, c.MaxBytes = 1+rng.IntN(8), int64(1+rng.IntN(20))*spanOverhead })
		type ref struct {
			trace TraceID
			span  SpanID
		}
		seen := make(map[ref]int)
		repeated, settled, batches := 0, 0, 0
		take := func(done []*assembly) {
			for _, t := range done {
				for i := range t.spans {
					seen[ref{t.id, t.spans[i].SpanID}]++
				}
				t.release(nil)
			}
		}
		sent := make(map[ref]bool)
		for range 100 {
			r := newReceipt(func(error) { settled++ })
			batches++
			for range rng.IntN(4) {
				s := span(1+rng.IntN(10), 1+rng.IntN(8), rng.IntN(3), began.Add(time.Duration(rng.IntN(100))*time.Second))
				if !a.add(s, r) {
					repeated++
				}
				sent[ref{s.TraceID, s.SpanID}] = true
			}
			r.release(nil)
			if rng.IntN(3) == 0 {
				take(a.complete(began.Add(time.Duration(rng.IntN(100)) * time.Second)))
			}
		}
		take(a.drain())
		require.Len(t, seen, len(sent))
		for r, n := range seen {
			require.Equal(t, 1, n, "%v", r)
		}
		require.Equal(t, repeated, dropped[dropDuplicate])
		require.Equal(t, batches, settled)
		require.Zero(t, a.bytes)
		require.Empty(t, a.open)
		require.Empty(t, a.due)
	}
}

func TestRepeatedSpanWaitsForTheFirstOnesEffects(t *testing.T) {
	t.Parallel()
	a, _ := assembling()
	acknowledged := false
	again := newReceipt(func(error) { acknowledged = true })
	a.add(span(1, 1, 0, began), nil)
	a.add(span(1, 1, 0, began), again)
	again.release(nil)
	require.False(t, acknowledged, "the trace is still in memory alone")
	a.drain()[0].release(nil)
	require.True(t, acknowledged)
}
