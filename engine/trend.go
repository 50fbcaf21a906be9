package engine

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// SeriesTrend is how the baseline of a series moved: what it held to be normal at the end of each hour of event time.
type SeriesTrend struct {
	Series   SeriesKey    `json:"series"`
	Detector string       `json:"detector"`
	Unit     string       `json:"unit"`
	Now      float64      `json:"now"`
	Before   float64      `json:"before"` // the oldest that is known, at most two days ago
	Ratio    float64      `json:"ratio"`  // now over before; 0 where that is 0
	Points   []TrendPoint `json:"points"` // oldest first
}

// TrendPoint is a baseline at a time.
type TrendPoint struct {
	At    time.Time `json:"timestamp"`
	Value float64   `json:"value"`
}

// Bounds of what is kept of trends, which lives in memory only.
const (
	trendEvery  = time.Hour // event time
	trendPoints = 48
	maxTrends   = 2_000 // series times detectors
)

// trends remembers baselines.
type trends struct {
	mu     sync.Mutex
	latest time.Time
	series *simplelru.LRU[trendKey, *SeriesTrend]
}

type trendKey struct {
	series   SeriesKey
	detector string
}

func newTrends() (*trends, error) {
	series, err := simplelru.NewLRU[trendKey, *SeriesTrend](maxTrends, nil)
	if err != nil {
		return nil, err
	}
	return &trends{series: series}, nil
}

// due reports whether an hour is over.
func (t *trends) due(mark time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	hour := mark.Truncate(trendEvery)
	if !hour.After(t.latest) {
		return false
	}
	t.latest = hour
	return true
}

// note remembers the baselines of those that are not learning.
func (t *trends) note(states []LearningState) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range states {
		if s.Learning || s.Baseline.Unit == "" {
			continue
		}
		k := trendKey{s.Series, s.Detector}
		x, ok := t.series.Get(k)
		if !ok {
			x = &SeriesTrend{Series: s.Series, Detector: s.Detector, Unit: s.Baseline.Unit}
			t.series.Add(k, x)
		}
		x.Points = append(x.Points, TrendPoint{t.latest, s.Baseline.Baseline})
		x.Points = x.Points[max(0, len(x.Points)-trendPoints):]
	}
}

func (t *trends) list(service string) []SeriesTrend {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []SeriesTrend
	for _, k := range t.series.Keys() {
		if service != "" && k.series.Service != service {
			continue
		}
		x, _ := t.series.Peek(k)
		trend := *x
		trend.Points = slices.Clone(x.Points)
		trend.Before, trend.Now = trend.Points[0].Value, trend.Points[len(trend.Points)-1].Value
		trend.Ratio = Effect{Baseline: trend.Before, Current: trend.Now}.Ratio()
		out = append(out, trend)
	}
	slices.SortFunc(out, func(a, b SeriesTrend) int {
		return cmp.Or(strings.Compare(a.Series.String(), b.Series.String()), strings.Compare(a.Detector, b.Detector))
	})
	return out
}

// Trends lists what users ask, and how the baselines of series moved; of one service, or of all with "".
func (p *Pipeline) Trends(service string) ([]Topic, []SeriesTrend) {
	var topics []Topic
	if p.parts.Topics != nil {
		topics = p.parts.Topics.Topics(service)
	}
	return topics, p.trends.list(service)
}

// noteTrends remembers the baselines once an hour of event time, and has new topics named.
func (p *Pipeline) noteTrends(ctx context.Context, mark time.Time) {
	if !p.trends.due(mark) {
		return
	}
	if r, ok := p.parts.Screener.(LearningReporter); ok {
		p.trends.note(r.States())
	}
	if p.parts.Namer != nil && p.parts.Topics != nil && !p.replaying && p.naming.CompareAndSwap(false, true) {
		p.aside.Go(func() {
			defer p.naming.Store(false)
			p.nameTopics(ctx)
		})
	}
}

// maxNamed bounds the topics that are named at once: notes wait for the same language model.
const maxNamed = 4

// namingTimeout bounds a round of naming, and what a stop can wait for it. Wall time.
const namingTimeout = 20 * time.Second

// nameTopics has the largest topics without a name named. One that cannot be named keeps its telling words, and is tried again.
func (p *Pipeline) nameTopics(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, namingTimeout)
	defer cancel()
	for _, t := range p.parts.Topics.Unnamed(maxNamed) {
		name, err := p.parts.Namer.NameTopic(ctx, t.Terms, t.Example)
		if err != nil {
			p.log.Info("topic keeps its telling words", "service", t.Service, "topic", t.ID, "error", err)
			continue
		}
		p.parts.Topics.NameTopic(t, name)
	}
}

// watchTopics shows a trace that was sampled to the watcher of topics, as the lens embedded it that always learns.
func (p *Pipeline) watchTopics(j *job, observations []Observation) {
	if p.parts.Topics != nil && len(observations) > 0 && !j.flagged && !j.trace.Late {
		p.parts.Topics.Observe(observations[len(observations)-1])
	}
}

// advanceTopics is what closed windows of topics show.
func (p *Pipeline) advanceTopics(mark time.Time) []Finding {
	if p.parts.Topics == nil {
		return nil
	}
	return p.parts.Topics.Advance(mark)
}
