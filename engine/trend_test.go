package engine

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTrendsFollowBaselinesByTheHourAndAreBounded(t *testing.T) {
	t.Parallel()
	x, err := newTrends()
	require.NoError(t, err)
	known := LearningState{Series: SeriesKey{Service: "shop"}, Detector: "latency", Baseline: Effect{Unit: "s"}}
	for hour := range trendPoints + 10 {
		at := began.Add(time.Duration(hour) * time.Hour)
		require.True(t, x.due(at))
		require.False(t, x.due(at.Add(time.Minute)), "once an hour")
		known.Baseline.Baseline = float64(hour + 1)
		x.note([]LearningState{known, {Series: SeriesKey{Service: "young"}, Detector: "latency", Learning: true}})
	}
	list := x.list("")
	require.Len(t, list, 1, "what still learns has no trend")
	require.Len(t, list[0].Points, trendPoints)
	require.InDelta(t, 11, list[0].Before, 0)
	require.InDelta(t, 58, list[0].Now, 0)
	require.InDelta(t, 58.0/11, list[0].Ratio, 1e-12)
	require.Empty(t, x.list("desk"))
}

// watcher is a watcher of topics that keeps what it is shown.
type watcher struct {
	mu    sync.Mutex
	seen  []string // model and text
	marks int
	names []string
}

func (w *watcher) Observe(o Observation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, o.Model.Name+" "+o.Texts[0].Text)
}

func (w *watcher) Advance(mark time.Time) []Finding {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.marks++
	return nil
}

func (w *watcher) Topics(service string) []Topic { return []Topic{{ID: "1", Service: service}} }
func (w *watcher) Unnamed(n int) []Topic {
	return []Topic{{ID: "good", Terms: []string{"refund"}}, {ID: "bad"}}[:min(n, 2)]
}

func (w *watcher) NameTopic(of Topic, name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.names = append(w.names, of.ID+": "+name)
}

type namer struct{}

func (namer) NameTopic(_ context.Context, terms []string, _ string) (string, error) {
	if len(terms) == 0 {
		return "", errors.New("nothing to name it by")
	}
	return terms[0] + "s", nil
}

func TestTopicsAreOfSampledTracesAndGetNames(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x, w := newPlant(t), &watcher{}
		x.parts.Topics, x.parts.Namer = w, namer{}
		x.run()
		x.consume(x.trace("fine"), x.trace("broken", failed), x.trace("my key is "+secret))
		pass(time.Minute)
		require.ElementsMatch(t, []string{"builtin fine", "builtin my key is [KEY]"}, w.seen, "flagged ones would distort the shares")
		require.Positive(t, w.marks)
		require.NotEmpty(t, w.names)
		require.Subset(t, []string{"good: refunds"}, w.names, "what cannot be named keeps its words")
		topics, _ := x.Trends("shop")
		require.Equal(t, "shop", topics[0].Service)
	})
}
