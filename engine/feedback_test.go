package engine

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

var spoken = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// word is one vote: on which incident, of which key, what and when.
func word(incident, key, verdict string, minute int) Feedback {
	at := spoken.Add(time.Duration(minute) * time.Minute)
	return Feedback{
		ID: fmt.Sprintf("%s-%s-%d", incident, key, minute), At: at, Incident: incident, Verdict: verdict, KeyID: key, Expires: at.Add(time.Hour),
		Case: Case{Type: SemanticNovelty, Service: "shop", Series: []SeriesKey{{Service: "shop"}}, Text: "text of " + incident},
	}
}

func quorum(n int) FeedbackConfig {
	cfg := DefaultFeedback()
	cfg.Quorum = n
	return cfg
}

func TestAVerdictNeedsAQuorumAndAMajority(t *testing.T) {
	t.Parallel()
	const yes, no = TruePositive, FalsePositive
	for name, c := range map[string]struct {
		words   []Feedback
		verdict string
	}{
		"one key":                                {[]Feedback{word("i", "a", no, 0)}, ""},
		"one key many times":                     {[]Feedback{word("i", "a", no, 0), word("i", "a", no, 1), word("i", "a", no, 2)}, ""},
		"two keys":                               {[]Feedback{word("i", "a", no, 0), word("i", "b", no, 1)}, no},
		"no key counts once":                     {[]Feedback{word("i", "", no, 0), word("i", "", no, 1)}, ""},
		"one key cannot overturn":                {[]Feedback{word("i", "a", no, 0), word("i", "b", no, 1), word("i", "c", yes, 2), word("i", "c", yes, 3)}, no},
		"as many as before end it":               {[]Feedback{word("i", "a", no, 0), word("i", "b", no, 1), word("i", "c", yes, 2), word("i", "d", yes, 3)}, ""},
		"more turn it":                           {[]Feedback{word("i", "a", no, 0), word("i", "b", no, 1), word("i", "c", yes, 2), word("i", "d", yes, 3), word("i", "e", yes, 4)}, yes},
		"of a key the latest counts":             {[]Feedback{word("i", "a", no, 0), word("i", "b", no, 1), word("i", "b", yes, 2)}, ""},
		"words on different things do not count": {[]Feedback{word("i", "a", no, 0), word("j", "b", no, 1)}, ""},
	} {
		for range 2 { // in any order
			lessons := deliberate(c.words, quorum(2), spoken.Add(10*time.Minute))
			require.Equal(t, c.verdict, lessons[0].Verdict, name)
			require.Equal(t, c.verdict != "", lessons[0].Teaches, name)
			slices.Reverse(c.words)
		}
	}
}

func TestWordsExpireAndAreTakenBack(t *testing.T) {
	t.Parallel()
	words := []Feedback{word("i", "a", FalsePositive, 0), word("i", "b", FalsePositive, 10), word("i", "c", FalsePositive, 20)}
	at := func(minute int) Lesson {
		return deliberate(words, quorum(2), spoken.Add(time.Duration(minute)*time.Minute))[0]
	}
	require.Equal(t, spoken.Add(70*time.Minute), at(30).Expires, "when the quorum is gone, not when the last word is")
	require.Equal(t, FalsePositive, at(69).Verdict, "the first has expired")
	require.Empty(t, at(70).Verdict)
	require.Empty(t, deliberate(words, quorum(2), spoken.Add(80*time.Minute)))

	undone := spoken.Add(25 * time.Minute)
	words[0].Undone = &undone
	require.Equal(t, 2, at(30).False)
	words[1].Undone = &undone
	require.Empty(t, at(30).Verdict)
}

func TestLessonsAreBoundedAService(t *testing.T) {
	t.Parallel()
	cfg := quorum(1)
	cfg.MaxLessons = 2
	var words []Feedback
	for i := range 5 {
		words = append(words, word(fmt.Sprintf("i-%d", i), "a", FalsePositive, i))
	}
	other := word("elsewhere", "a", FalsePositive, 0)
	other.Case.Service = "desk"
	lessons := deliberate(append(words, other), cfg, spoken.Add(10*time.Minute))
	var teaching []string
	for _, l := range lessons {
		if l.Teaches {
			teaching = append(teaching, l.Incident)
		}
	}
	require.Equal(t, []string{"i-4", "i-3", "elsewhere"}, teaching, "the newest of each service")
}

func TestThresholdsAreBounded(t *testing.T) {
	t.Parallel()
	cfg := quorum(1)
	key := thresholdKey{SemanticNovelty, SeriesKey{Service: "shop"}}
	of := func(wrong, right int) float64 {
		var words []Feedback
		for i := range wrong + right {
			verdict := FalsePositive
			if i >= wrong {
				verdict = TruePositive
			}
			words = append(words, word(fmt.Sprintf("i-%d", i), "a", verdict, 0))
		}
		return thresholds(deliberate(words, cfg, spoken), cfg)[key]
	}
	require.Zero(t, of(0, 0))
	require.InDelta(t, 1.25, of(1, 0), 1e-12)
	require.InDelta(t, 1.5, of(3, 1), 1e-12, "a true positive of the same series takes one back")
	require.Zero(t, of(1, 3), "a series never becomes more easily told than it was")
	require.InDelta(t, cfg.MaxThreshold, of(100, 0), 1e-12, "whatever is said, what scores above this is told")
}

func TestARaisedThresholdIsWhatTheScoreMustExceed(t *testing.T) {
	t.Parallel()
	const alpha = 1e-4
	f := Finding{Type: LatencySpike, Detector: "latency", P: math.Pow(alpha, 1.4), Material: true}
	require.InDelta(t, 1.4, judge(TraceID{1}, []Finding{f}, alpha, DefaultSeverity()).Score, 1e-6)
	f.Threshold = 1.5
	require.False(t, judge(TraceID{1}, []Finding{f}, alpha, DefaultSeverity()).Anomalous)
	f.P = math.Pow(alpha, 1.6)
	require.True(t, judge(TraceID{1}, []Finding{f}, alpha, DefaultSeverity()).Anomalous)
}

// reported makes a pipeline that found a strange prompt, and returns the id of the anomaly.
func reported(t *testing.T, change ...func(*Config)) (*plant, string) {
	x := newPlant(t, change...)
	x.semantic.score = func(o Observation) ([]Finding, error) {
		span := &o.Trace.Spans[0]
		return []Finding{{
			Type: SemanticNovelty, Detector: "semantic", At: o.Trace.End(), TraceID: o.Trace.ID, P: math.Pow(1e-4, 1.2), Material: true,
			Series: span.Series(), Subject: Subject{SubjectService, span.Service}, Excerpt: o.Texts[0].Text,
		}}, nil
	}
	x.run()
	x.consume(x.trace("how tall is the moon?"))
	pass(time.Minute)
	page, err := x.store.Anomalies(t.Context(), AnomalyQuery{Type: SemanticNovelty})
	require.NoError(t, err)
	require.Len(t, page.Items, 1)
	return x, page.Items[0].ID
}

func say(t *testing.T, x *plant, anomaly, key, verdict string) Feedback {
	t.Helper()
	f, err := x.AddFeedback(t.Context(), Feedback{ID: key + verdict, At: time.Now().UTC(), AnomalyID: anomaly, Verdict: verdict, KeyID: key})
	require.NoError(t, err)
	return f
}

func TestAFalsePositiveTeachesUntilItIsTakenBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x, id := reported(t)
		say(t, x, id, "a", FalsePositive)
		require.Empty(t, x.examples(), "one key alone teaches nothing")
		require.True(t, math.IsNaN(testutil.ToFloat64(x.m.falsePositives)))
		second := say(t, x, id, "b", FalsePositive)

		normal := []string{"builtin normal how tall is the moon?", "preferred normal how tall is the moon?"}
		require.Equal(t, normal, x.examples(), "it is normal now, in each lens")
		require.InDelta(t, 1, testutil.ToFloat64(x.m.falsePositives), 0)
		v, err := x.Score(t.Context(), NewTrace(TraceID{9}, []Span{x.trace("how tall is the sun?")}))
		require.NoError(t, err)
		require.False(t, v.Anomalous, "what scored as much is within the threshold of its series now")
		require.InDelta(t, 1.25, v.Contributions[0].Threshold, 1e-12)

		found := x.store.found()
		x.consume(x.trace("how tall is the sun?"))
		pass(time.Minute)
		require.Equal(t, found, x.store.found(), "in the stream too")

		_, err = x.UndoFeedback(t.Context(), second.ID, "a", "grace")
		require.Equal(t, CodeConflict, ErrorCode(err), "another key cannot take it back")
		undone, err := x.UndoFeedback(t.Context(), second.ID, "b", "grace")
		require.NoError(t, err)
		require.Equal(t, "grace", undone.UndoneBy)
		require.Empty(t, x.examples())
		v, err = x.Score(t.Context(), NewTrace(TraceID{9}, []Span{x.trace("how tall is the sun?")}))
		require.NoError(t, err)
		require.True(t, v.Anomalous)
		require.True(t, math.IsNaN(testutil.ToFloat64(x.m.performance)))
		_, err = x.UndoFeedback(t.Context(), "nobody's", "", "")
		require.Equal(t, CodeNotFound, ErrorCode(err))
	})
}

func TestATruePositiveIsRemembered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x, id := reported(t, func(c *Config) { c.Feedback.Quorum = 1 })
		say(t, x, id, "", TruePositive)
		require.Len(t, x.examples(), 2)
		require.Contains(t, x.examples()[0], "builtin incident ")
		require.InDelta(t, 0, testutil.ToFloat64(x.m.falsePositives), 0)
		require.InDelta(t, 0.2065, testutil.ToFloat64(x.m.performance), 1e-3, "one verdict supports little")
		lessons, thresholds := x.Lessons()
		require.Empty(t, thresholds)
		require.Equal(t, id, lessons[0].AnomalyID)

		l := lessons[0]
		l.Case.Type = Jailbreak
		m, ok := l.remembered()
		require.True(t, ok)
		require.Equal(t, Collection{Purpose: PurposeAttack, Kind: TextUserPrompt}, m.Collection)
		require.Equal(t, FamilyConfirmed, m.Family)
		l.Verdict, l.Case.Type = FalsePositive, LatencySpike
		_, ok = l.remembered()
		require.False(t, ok, "there is no text that would be normal")
	})
}

func TestLessonsSurviveARestartAndEndWhileNobodyServes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x, id := reported(t)
		say(t, x, id, "a", FalsePositive)
		second := say(t, x, id, "b", FalsePositive)
		_, before := x.Lessons()
		require.Len(t, before, 1)
		require.NoError(t, x.stop())

		y := x.restart()
		y.run()
		pass(time.Second)
		_, after := y.Lessons()
		require.Equal(t, before, after)
		require.NoError(t, y.stop())

		_, err := y.store.UndoFeedback(t.Context(), second.ID, time.Now(), "operator")
		require.NoError(t, err)
		z := y.restart()
		z.run()
		pass(time.Second)
		_, left := z.Lessons()
		require.Empty(t, left)
		require.Empty(t, z.examples(), "what was remembered for it is forgotten")
	})
}

func TestLessonsExpireByThemselves(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x, id := reported(t, func(c *Config) { c.Feedback.ExpireAfter = time.Hour })
		say(t, x, id, "a", FalsePositive)
		say(t, x, id, "b", FalsePositive)
		require.NotEmpty(t, x.examples())
		pass(time.Hour + 2*reviseEvery)
		require.Empty(t, x.examples())
		lessons, thresholds := x.Lessons()
		require.Empty(t, lessons)
		require.Empty(t, thresholds)
	})
}

func TestFeedbackThatCannotBeTaken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x, id := reported(t, func(c *Config) { c.Feedback.MaxPerKey = 2 })
		_, err := x.AddFeedback(t.Context(), Feedback{ID: "f", At: time.Now(), Incident: "none", Verdict: TruePositive})
		require.Equal(t, CodeNotFound, ErrorCode(err))
		say(t, x, id, "a", FalsePositive)
		say(t, x, id, "a", TruePositive)
		_, err = x.AddFeedback(t.Context(), Feedback{ID: "f", At: time.Now(), AnomalyID: id, Verdict: TruePositive, KeyID: "a"})
		require.Equal(t, CodeFull, ErrorCode(err), "a key cannot push out what others say")
		say(t, x, id, "b", FalsePositive)

		// An embedder that is away is asked again, and the word stands meanwhile.
		x.preferred.set(errors.New("away"))
		say(t, x, id, "c", FalsePositive)
		say(t, x, id, "d", FalsePositive)
		require.Empty(t, x.examples())
		_, thresholds := x.Lessons()
		require.Len(t, thresholds, 1)
		require.Contains(t, degraded(x), "feedback")
		x.preferred.set(nil)
		pass(2 * reviseEvery)
		require.Len(t, x.examples(), 2)
		require.NotContains(t, degraded(x), "feedback")
	})
}

func degraded(x *plant) (out []string) {
	for _, d := range x.Health().Degraded {
		out = append(out, d.Part)
	}
	return out
}

func TestFeedbackConfigSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*FeedbackConfig){
		"quorum":        func(c *FeedbackConfig) { c.Quorum = 0 },
		"expire_after":  func(c *FeedbackConfig) { c.ExpireAfter = 0 },
		"step":          func(c *FeedbackConfig) { c.Step = math.NaN() },
		"max_threshold": func(c *FeedbackConfig) { c.MaxThreshold = 0.5 },
		"max_per_key":   func(c *FeedbackConfig) { c.MaxPerKey = 0 },
		"max_feedback":  func(c *FeedbackConfig) { c.MaxFeedback = 1 },
	} {
		cfg := DefaultConfig()
		change(&cfg.Feedback)
		require.ErrorContains(t, cfg.Validate(), want)
	}
}

func TestAConfirmedIncidentIsEvidenceForALikeOne(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t, func(c *Config) { c.Feedback.Quorum = 1 })
		x.screener.score = abnormal
		x.run()
		raise := func(service string) Incident {
			for range 8 {
				x.consume(x.trace("hello", failed, func(s *Span) { s.Service = service }))
				pass(10 * time.Second)
			}
			pass(20 * time.Minute)
			list := x.store.list()
			i := slices.IndexFunc(list, func(in Incident) bool { return slices.Contains(in.Services, service) })
			require.GreaterOrEqual(t, i, 0)
			return list[i]
		}
		first := raise("shop")
		_, err := x.AddFeedback(t.Context(), Feedback{ID: "f", At: time.Now().UTC(), Incident: first.ID, Verdict: TruePositive})
		require.NoError(t, err)
		pass(2 * time.Hour)
		second := raise("desk")
		require.NotEqual(t, first.ID, second.ID)
		require.Contains(t, second.Evidence.Similar, PastIncident{ID: first.ID, Title: first.Title, At: second.Evidence.Similar[0].At, Similarity: 0.9})
	})
}
