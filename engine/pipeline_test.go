package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

func TestTroubleBecomesOneExplainedIncident(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t)
		x.screener.score = abnormal
		x.run()
		for range 20 {
			x.consume(x.trace("where is my parcel"))
			pass(30 * time.Second)
		}
		require.NoError(t, x.Consume(t.Context(), Batch{Markers: []ChangeMarker{{ID: "m", At: time.Now(), Service: "shop", Kind: MarkerDeployment}}}))
		for range 20 {
			x.consume(x.trace("where is my parcel", failed))
			pass(30 * time.Second)
		}
		pass(settled)
		list := x.store.list()
		require.Len(t, list, 1)
		in := list[0]
		require.Equal(t, ErrorRate, in.Type)
		require.Equal(t, StatusOpen, in.Status)
		require.NotNil(t, in.Evidence)
		require.NotEmpty(t, in.Evidence.Slices)
		require.Len(t, in.Evidence.Markers, 1)
		require.NotNil(t, in.Explanation)
		require.Equal(t, in.Evidence.Digest, in.Explanation.EvidenceDigest)
		require.GreaterOrEqual(t, x.store.found(), 15)
		for _, a := range x.store.anomalies {
			require.Equal(t, in.ID, a.IncidentID)
		}
		require.Equal(t, "raised", x.observer.changes()[0])
		require.Less(t, x.Services()[0].Score, 1.0)

		pass(time.Hour) // nothing arrives: the wall clock says that it is calm
		require.Equal(t, StatusResolved, x.store.list()[0].Status)
		counts := make(map[string]int)
		for _, c := range x.observer.changes() {
			counts[c]++
		}
		require.Equal(t, 1, counts["raised"])
		require.Equal(t, 1, counts["resolved"])
		require.Positive(t, counts["explained"])
		require.Equal(t, 1.0, x.Services()[0].Score)
		require.NoError(t, x.stop())
	})
}

func TestOneSlowRequestRaisesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t)
		x.screener.score = abnormal
		x.run()
		x.consume(x.trace("hello", failed))
		pass(2 * time.Hour)
		require.Equal(t, 1, x.store.found(), "it is kept as an anomaly")
		require.Empty(t, x.store.list())
		require.Empty(t, x.observer.changes())
	})
}

func TestWindowFindingsBecomeIncidents(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t)
		x.screener.windows = func(mark time.Time) []Finding {
			window := material(LatencySpike, 1e-9)
			window.At, window.Window, window.Series.Service = mark, time.Minute, "shop"
			for n := range 10 {
				window.Traces = append(window.Traces, traceID(n))
			}
			slight, learning := window, window
			slight.Material, learning.Learning = false, true
			slight.Series.Service, learning.Series.Service = "slight", "learning"
			return []Finding{window, slight, learning}
		}
		x.run()
		for range 60 {
			x.consume(x.trace("hello"))
			pass(20 * time.Second)
		}
		list := x.store.list()
		require.Len(t, list, 1)
		require.Equal(t, []string{"shop"}, list[0].Services)
		require.Equal(t, LatencySpike, list[0].Type)
	})
}

func TestDrainStoresWhatWasAccepted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t)
		x.screener.score = abnormal
		x.run()
		var done atomic.Int32
		for range 300 {
			require.NoError(t, x.Consume(t.Context(), Batch{
				Spans: []Span{x.trace("hello", failed)},
				Done: func(err error) {
					if err == nil {
						done.Add(1)
					}
				},
			}))
		}
		require.NoError(t, x.stop())
		require.EqualValues(t, 300, done.Load())
		require.Equal(t, 300, x.store.found())
		err := x.Consume(t.Context(), Batch{Spans: []Span{x.trace("too late")}})
		require.Equal(t, CodeUnavailable, ErrorCode(err))
		require.Error(t, x.Run(t.Context()), "a pipeline runs once")
	})
}

// Sources that hand over while the pipeline stops are either refused or served: never neither, never both.
func TestNothingAcceptedIsForgottenWhileStopping(t *testing.T) {
	t.Parallel()
	for range 20 {
		x := newPlant(t)
		x.run()
		var accepted, done atomic.Int32
		var wg sync.WaitGroup
		start := make(chan struct{})
		for source := range 4 {
			wg.Go(func() {
				<-start
				for n := range 200 {
					s := span(1+source*1000+n, 1, 0, time.Now())
					if x.Consume(context.Background(), Batch{Spans: []Span{s}, Done: func(error) { done.Add(1) }}) == nil {
						accepted.Add(1)
					}
				}
			})
		}
		close(start)
		require.NoError(t, x.stop())
		wg.Wait()
		require.Equal(t, accepted.Load(), done.Load())
	}
}

func TestFullQueueAsksToComeBack(t *testing.T) {
	t.Parallel()
	x := newPlant(t, func(c *Config) { c.QueueSpans = 10 }) // and nobody works
	batch := func(n int) Batch {
		b := Batch{Done: func(error) { t.Error("a batch that was not taken is not done") }}
		for range n {
			b.Spans = append(b.Spans, x.trace("hello"))
		}
		return b
	}
	require.NoError(t, x.Consume(t.Context(), Batch{Spans: batch(25).Spans}), "larger than the queue, but alone in it")
	err := x.Consume(t.Context(), batch(1))
	require.Equal(t, CodeFull, ErrorCode(err))
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Positive(t, e.RetryAfter)
	require.Equal(t, 25, x.Health().Queued["screening_spans"])

	x = newPlant(t)
	for range 10_000 {
		if err = x.Consume(t.Context(), Batch{Markers: []ChangeMarker{{ID: "m"}}}); err != nil {
			break
		}
	}
	require.Equal(t, CodeFull, ErrorCode(err), "batches without spans are bounded too")
}

func TestFullSemanticQueueShedsSamplesAndDefersFlagged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t, func(c *Config) { c.SemanticQueue, c.AcknowledgeEvery = 2, time.Second })
		x.screener.score = abnormal
		x.preferred.hold = make(chan struct{})
		x.run()
		var done atomic.Int32
		for n := range 40 {
			s := x.trace("my key is " + secret)
			if n >= 20 {
				failed(&s)
			}
			require.NoError(t, x.Consume(t.Context(), Batch{Spans: []Span{s}, Done: func(err error) {
				if err == nil {
					done.Add(1)
				}
			}}))
		}
		pass(x.cfg.Assembly.QuietAfterRoot + x.cfg.AllowedLateness + 5*time.Second) // less than an embedder may take
		health := x.Health()
		require.Positive(t, health.Dropped[dropSampled], "%+v", health)
		waiting, _ := x.store.left()
		require.Positive(t, waiting)
		require.Equal(t, float64(waiting), testutil.ToFloat64(x.m.traces.WithLabelValues(wayDeferred)))
		require.GreaterOrEqual(t, int(done.Load()), 40-3, "what is deferred is stored, what is shed is judged by screening alone")
		require.NotContains(t, x.store.everything(t), secret)

		close(x.preferred.hold)
		pass(time.Minute)
		waiting, ever := x.store.left()
		require.Zero(t, waiting, "worked off once there is time")
		require.Positive(t, ever)
		require.EqualValues(t, 40, done.Load())
		require.Equal(t, 20, x.store.found(), "every flagged trace was judged")
	})
}

func TestBacklogOfAnEarlierRunIsWorkedOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t)
		s := x.trace("hello", failed)
		trace := NewTrace(s.TraceID, []Span{s})
		require.NoError(t, x.store.Defer(t.Context(), Deferred{Trace: trace, Findings: abnormal(&trace)}))
		x.run()
		pass(5 * time.Second)
		waiting, _ := x.store.left()
		require.Zero(t, waiting)
		require.Equal(t, 1, x.store.found())
		require.Len(t, x.semantic.asked, 1)
	})
}

func TestStandInAnswersForAFailingEmbedder(t *testing.T) {
	for name, breakIt := range map[string]func(*embedder){
		"an error":        func(e *embedder) { e.err = errors.New("connection refused") },
		"too few vectors": func(e *embedder) { e.short = true },
		"no answer":       func(e *embedder) { e.hold = make(chan struct{}) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				x := newPlant(t)
				breakIt(x.preferred)
				x.run()
				x.consume(x.trace("hello"))
				pass(settled)
				require.Equal(t, []string{"builtin"}, x.semantic.models())
				degraded := x.Health().Degraded
				require.Len(t, degraded, 1)
				require.Equal(t, "embedder preferred", degraded[0].Part)
				require.NotEmpty(t, degraded[0].Reason)

				x.preferred.mu.Lock()
				x.preferred.err, x.preferred.short, x.preferred.hold = nil, false, nil
				x.preferred.mu.Unlock()
				x.consume(x.trace("hello"))
				pass(settled)
				require.Equal(t, []string{"builtin", "preferred"}, x.semantic.models())
				require.Empty(t, x.Health().Degraded)
			})
		})
	}
}

func TestFailingEmbedderIsLeftAloneForAWhile(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t)
		x.preferred.set(errors.New("connection refused"))
		x.run()
		for range 100 {
			x.consume(x.trace("hello"))
		}
		pass(settled)
		require.Len(t, x.preferred.texts, 1)
		require.Len(t, x.semantic.models(), 100)
	})
}

func TestEachLensLearns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t)
		x.run()
		x.consume(x.trace("hello"))
		pass(settled)
		require.NoError(t, x.stop())
		require.NoError(t, x.Settle(t.Context()))
		require.Len(t, x.semantic.learnt, 2, "once with the vectors of each model")
		require.Len(t, x.workflow.learnt, 1)
	})
}

func TestContentDetectorsNeedNoVectors(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t)
		x.preferred.set(errors.New("down"))
		x.builtin.set(errors.New("down"))
		own := material(UngroundedResponse, 0.5)
		own.Detector, own.Raw = "content", 3
		x.content.score = func(Observation) ([]Finding, error) { return []Finding{own}, nil }
		x.run()
		x.consume(x.trace("tell " + secret))
		pass(settled)
		require.NoError(t, x.stop())
		require.NoError(t, x.Settle(t.Context()))
		require.Len(t, x.content.asked, 1)
		require.NotContains(t, x.content.asked[0].Trace.Spans[0].Input[0].Text(), secret, "texts are redacted")
		require.Len(t, x.content.learnt, 1, "once, whatever the embedders do")
		require.Equal(t, []Finding{own}, x.content.taught, "it is told what it said when it saw the texts")

		_, err := x.Score(t.Context(), NewTrace(traceID(99), []Span{x.trace("hello")}))
		require.NoError(t, err)
		require.Len(t, x.content.asked, 2)
		x.content.failing = errors.New("broken")
		_, err = x.Score(t.Context(), NewTrace(traceID(99), []Span{x.trace("hello")}))
		require.ErrorContains(t, err, "content: broken")
	})
}

// While a detector of answers learns, the others are as protected from the beginning of a surge as before.
func TestDetectorsOfAnswersThatLearnReleaseNothing(t *testing.T) {
	for about, held := range map[AnomalyType]bool{UngroundedResponse: true, ModelRegression: true, SemanticNovelty: false} {
		require.Equal(t, !held, stillLearning([]Finding{{Type: about, Learning: true}}), about)
	}
}

func TestNoEmbedderAtAllIsCounted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t)
		x.preferred.set(errors.New("down"))
		x.builtin.set(errors.New("down"))
		x.run()
		x.consume(x.trace("hello"))
		pass(settled)
		require.EqualValues(t, 1, x.Health().Dropped[dropUnembedded])
		require.Empty(t, x.semantic.models())
	})
}

func TestFailingDetectorDegradesAndRecovers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t)
		x.screener.score = abnormal
		x.semantic.failing = errors.New("no answer")
		x.run()
		x.consume(x.trace("hello", failed))
		pass(settled)
		require.Equal(t, partDetectors, x.Health().Degraded[0].Part)
		require.EqualValues(t, 1, x.Health().Dropped[dropUncompared])
		require.Equal(t, 1, x.store.found(), "judged by what the others say")
		s := x.trace("hello")
		_, err := x.Score(t.Context(), NewTrace(s.TraceID, []Span{s}))
		require.Equal(t, CodeUnavailable, ErrorCode(err))

		x.semantic.mu.Lock()
		x.semantic.failing = nil
		x.semantic.mu.Unlock()
		x.consume(x.trace("hello"))
		pass(settled)
		require.Empty(t, x.Health().Degraded)
	})
}

func TestScoreDoesNotTeach(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t)
		// A detector whose answer depends on what it learnt.
		x.semantic.score = func(o Observation) ([]Finding, error) {
			f := material(SemanticNovelty, 0.6)
			f.TraceID, f.At, f.Effect.Baseline = o.Trace.ID, o.Trace.End(), float64(len(x.semantic.learnt))
			return []Finding{f}, nil
		}
		x.run()
		for range 20 {
			x.consume(x.trace("hello"))
			pass(time.Second)
		}
		pass(2 * time.Hour)
		x.consume(x.trace("hello"))
		pass(2 * time.Hour)
		require.Positive(t, x.semantic.knows())

		s := x.trace("something new")
		trace := NewTrace(s.TraceID, []Span{s})
		observed, known, memos := x.screener.seen(), x.semantic.knows(), len(x.memory.memos)
		first, err := x.Score(t.Context(), trace)
		require.NoError(t, err)
		for range 100 {
			again, err := x.Score(t.Context(), trace)
			require.NoError(t, err)
			require.Equal(t, first, again)
			other := s
			other.Service = fmt.Sprint("made up ", x.traces)
			_, err = x.Score(t.Context(), NewTrace(s.TraceID, []Span{other}))
			require.NoError(t, err)
		}
		pass(2 * time.Hour)
		require.Equal(t, observed, x.screener.seen())
		require.Equal(t, known, x.semantic.knows())
		require.Len(t, x.memory.memos, memos)
		require.Zero(t, x.store.found())
		require.Len(t, x.Services(), 1)
		require.Len(t, x.digests.byTrace, 21)
		_, err = x.Score(t.Context(), Trace{ID: traceID(1)})
		require.Equal(t, CodeInvalid, ErrorCode(err))
	})
}

func TestAnomalousTracesAreNotLearnt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t)
		x.screener.score = abnormal
		x.run()
		good, bad := x.trace("hello"), x.trace("hello", failed)
		x.consume(good, bad)
		pass(settled)
		require.Zero(t, x.workflow.knows(), "held back until it is known whether the time was calm")
		x.consume(x.trace("later"))
		pass(2 * time.Hour)
		require.NoError(t, x.stop())
		require.Contains(t, x.workflow.learnt, good.TraceID)
		require.NotContains(t, x.workflow.learnt, bad.TraceID)
		require.NotContains(t, x.semantic.learnt, bad.TraceID)
	})
}

func TestBeginningOfASurgeIsNotLearnt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t)
		x.semantic.score = func(o Observation) ([]Finding, error) {
			f := material(SemanticNovelty, 0.5)
			f.TraceID, f.At = o.Trace.ID, o.Trace.End()
			if o.Texts[0].Text == "strange" {
				f.P = 0.01 // unusual, and far from anomalous alone
			}
			return []Finding{f}, nil
		}
		x.run()
		strange := make(map[TraceID]bool)
		for n := range 240 { // two hours of calm, half an hour of a new topic, calm again
			text := "hello"
			if n >= 120 && n < 150 {
				text = "strange"
			}
			for range 5 {
				s := x.trace(text)
				strange[s.TraceID] = text == "strange"
				x.consume(s)
			}
			pass(time.Minute)
		}
		require.NoError(t, x.stop())
		calm, odd := 0, 0
		for _, id := range x.semantic.learnt {
			if strange[id] {
				odd++
			} else {
				calm++
			}
		}
		require.Zero(t, odd)
		require.Greater(t, calm, 1_000)
		require.NotEmpty(t, x.store.list(), "many unusual traces at once are an incident")
		require.Equal(t, SemanticNovelty, x.store.list()[0].Type)
	})
}

func TestRepeatedDeliveryIsCountedOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t)
		x.screener.score = abnormal
		x.run()
		s := x.trace("hello", failed)
		done := 0
		for range 3 {
			require.NoError(t, x.Consume(t.Context(), Batch{Spans: []Span{s}, Done: func(error) { done++ }}))
			pass(settled)
		}
		require.Equal(t, 3, done)
		require.Equal(t, 1, x.screener.seen())
		require.Equal(t, 1, x.store.found())
		require.EqualValues(t, 2, x.Health().Dropped[dropDuplicate])
		require.EqualValues(t, 1, x.Services()[0].Spans)
	})
}

func TestLateSpanAmendsAndTeachesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t)
		x.screener.score = abnormal
		x.run()
		root := x.trace("hello", failed)
		x.consume(root)
		pass(settled)
		late := root
		late.SpanID, late.Parent = spanID(2), root.SpanID
		x.consume(late)
		pass(2 * time.Hour)
		require.NoError(t, x.stop())
		require.Equal(t, 1, x.store.found(), "the same anomaly, amended")
		require.Empty(t, x.workflow.learnt)
		require.Len(t, x.digests.byTrace, 1)
	})
}

func TestDoneTellsWhatWasNotStored(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t)
		x.screener.score = abnormal
		x.run()
		synctest.Wait()
		full := Permanent(errors.New("disk full"))
		x.store.fail(full)
		var errs []error
		done := func(err error) { errs = append(errs, err) }
		require.NoError(t, x.Consume(t.Context(), Batch{Spans: []Span{x.trace("hello", failed)}, Done: done}))
		pass(settled)
		require.NoError(t, x.Consume(t.Context(), Batch{Markers: []ChangeMarker{{ID: "m", At: time.Now()}}, Done: done}))
		pass(settled)
		require.Len(t, errs, 2)
		for _, err := range errs {
			require.ErrorIs(t, err, full)
		}
		parts := make(map[string]bool)
		for _, d := range x.Health().Degraded {
			parts[d.Part] = true
		}
		require.True(t, parts["store"] && parts["snapshots"], "%v", parts)
		require.Positive(t, x.Health().Dropped[dropUnstored])

		x.store.fail(nil)
		require.NoError(t, x.Consume(t.Context(), Batch{Spans: []Span{x.trace("hello", failed)}, Done: done}))
		pass(settled)
		require.NoError(t, errs[2])
		require.Empty(t, x.Health().Degraded)
	})
}

func TestQuietApplicationsLastTraceIsJudged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t)
		x.screener.score = abnormal
		x.run()
		x.consume(x.trace("hello", failed))
		pass(time.Second)
		require.Zero(t, x.store.found())
		pass(settled)
		require.Equal(t, 1, x.store.found())
		require.True(t, x.screener.last.After(time.Now().Add(-settled)), "windows close too")
	})
}

func TestClockThatRunsAheadHoldsNothingOpen(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t)
		x.run()
		var done atomic.Int32
		for n := range 50 {
			s := x.trace("hello", func(s *Span) {
				ahead := time.Duration(n+1) * 24 * time.Hour
				s.Start, s.End = s.Start.Add(ahead), s.End.Add(ahead)
			})
			b := Batch{Spans: []Span{s, x.trace("hello")}, Done: func(error) { done.Add(1) }}
			b.Contents = []Content{{TraceID: traceID(1_000_000 + n), At: s.End}}
			require.NoError(t, x.Consume(t.Context(), b))
		}
		pass(x.cfg.Assembly.QuietWithoutRoot + settled)
		require.EqualValues(t, 50, done.Load())
		require.EqualValues(t, 50, x.Health().Dropped[dropFuture])
		for _, s := range x.screener.spans {
			require.False(t, s.End.After(time.Now()))
			require.Equal(t, time.Second, s.Duration())
		}
	})
}

func TestSecurityEventsAreCountedAsUnread(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t)
		x.run()
		done := 0
		require.NoError(t, x.Consume(t.Context(), Batch{Events: []SecurityEvent{{ID: "e"}}, Done: func(error) { done++ }}))
		require.NoError(t, x.Consume(t.Context(), Batch{Done: func(error) { done++ }}))
		pass(time.Second)
		require.EqualValues(t, 1, x.Health().Dropped[dropUnread])
		require.Equal(t, 2, done)
	})
}

func TestSampleIsConsistentAndOfTheWantedSize(t *testing.T) {
	t.Parallel()
	x, y := newPlant(t, func(c *Config) { c.SampleRate = 0.3 }), newPlant(t, func(c *Config) { c.SampleRate = 0.4 })
	sampled := 0
	random := rand.NewChaCha8([32]byte{7})
	for n := range 20_000 {
		s := span(n+1, 1, 0, began)
		_, _ = random.Read(s.TraceID[:])
		trace := NewTrace(s.TraceID, []Span{s})
		require.True(t, n > 0 || x.sampled(&trace), "a young service is looked at whole")
		if n == 0 {
			for range youngSpans {
				x.services.saw([]Span{s})
				y.services.saw([]Span{s})
			}
		}
		require.True(t, !x.sampled(&trace) || y.sampled(&trace), "a higher rate chooses what a lower one does, and more")
		if x.sampled(&trace) {
			sampled++
		}
	}
	require.InDelta(t, 6_000, sampled, 300)
}

func TestFailedTraceIsAlwaysLookedAt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t, func(c *Config) { c.SampleRate = 0 })
		for range youngSpans {
			x.services.saw([]Span{span(1, 1, 0, began)})
		}
		x.traces = 10
		x.run()
		x.consume(x.trace("fine"), x.trace("broken", failed))
		pass(settled)
		require.Len(t, x.semantic.asked, 1)
		require.Equal(t, "broken", x.semantic.asked[0].Texts[0].Text)
		require.Equal(t, 1.0, testutil.ToFloat64(x.m.traces.WithLabelValues(wayQuiet)))
		require.Equal(t, 1.0, testutil.ToFloat64(x.m.traces.WithLabelValues(wayFlagged)))
	})
}

func TestIncidentWithoutANoteIsStoredAllTheSame(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t)
		x.screener.score = abnormal
		x.explainer.err = errors.New("no template")
		x.run()
		for range 20 {
			x.consume(x.trace("hello", failed))
			pass(time.Minute)
		}
		require.Len(t, x.store.list(), 1)
		require.Equal(t, []string{ChangeRaised}, x.store.told())
		require.Len(t, x.Health().Degraded, 1)
		require.Equal(t, "explanations", x.Health().Degraded[0].Part)
	})
}

func TestSlowExplainerHoldsUpNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t)
		x.screener.score = abnormal
		x.explainer.hold = make(chan struct{}) // it takes for ever
		x.run()
		for range 20 {
			x.consume(x.trace("hello", failed))
			pass(time.Minute)
		}
		require.Len(t, x.store.list(), 1)
		require.Nil(t, x.store.list()[0].Explanation)
		close(x.explainer.hold)
		pass(time.Second)
		require.NotNil(t, x.store.list()[0].Explanation)
	})
}

func TestConfigNamesWhatMakesNoSense(t *testing.T) {
	t.Parallel()
	require.NoError(t, DefaultConfig().Validate())
	for name, change := range map[string]func(*Config){
		"queue_spans":                 func(c *Config) { c.QueueSpans = 0 },
		"sample_rate":                 func(c *Config) { c.SampleRate = 1.5 },
		"flag_below":                  func(c *Config) { c.FlagBelow = 1 },
		"hold_back":                   func(c *Config) { c.HoldBack = -1 },
		"max_alpha":                   func(c *Config) { c.Alerts.MaxAlpha = 0.5 },
		"assembly.max_spans":          func(c *Config) { c.Assembly.MaxSpans = -1 },
		"surges.window":               func(c *Config) { c.Surges.Window = 0 },
		"incidents.min_traces":        func(c *Config) { c.Incidents.MinTraces = 0 },
		"severity.base.latency_spike": func(c *Config) { c.Severity.Base = map[AnomalyType]int{LatencySpike: 9} },
		"evidence.recent_per_service": func(c *Config) { c.Evidence.RecentPerService = 0 },
		"alerts.alerts_per_day":       func(c *Config) { c.Alerts.PerDay = 0 },
	} {
		cfg := DefaultConfig()
		change(&cfg)
		_, err := New(cfg, Parts{})
		require.ErrorContains(t, err, name)
	}
}
