package screen

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/statistical"
)

// Screen implements engine.Screener, engine.Snapshotter and engine.LearningReporter.
type Screen struct {
	cfg     Config
	evicted *prometheus.CounterVec
	shelved prometheus.Counter
	late    prometheus.Counter
	live    *prometheus.GaugeVec

	mu          sync.Mutex
	series      *index
	pools       *simplelru.LRU[engine.SeriesKey, *statistical.Proportion] // errors of like series
	services    *simplelru.LRU[string, *service]
	passedOn    passedOn
	watchers    []watcher
	inflation   map[string]*statistical.Inflation // of the windows' own p-values, by detector
	closedUntil time.Time
	nothing     baseline                     // what an unknown series has learnt
	visiting    map[engine.SeriesKey]*series // series that are on the shelf, while a trace of theirs is scored
	shelving
}

// New returns a tier that has seen nothing.
func New(cfg Config, registry prometheus.Registerer) (*Screen, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Screen{
		cfg: cfg,
		evicted: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sentinel_statistical_evicted_total", Help: "Baselines forgotten to keep memory bounded, by kind."}, []string{"kind"}),
		shelved: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sentinel_statistical_shelved_total", Help: "Series that left memory for the store, to come back when they are seen again."}),
		late: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sentinel_statistical_late_spans_total", Help: "Spans whose window had closed before they came."}),
		live: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "sentinel_statistical_series_items", Help: "Baselines kept, by kind."}, []string{"kind"}),
		nothing: newBaseline(cfg),
	}
	for _, c := range []prometheus.Collector{s.evicted, s.shelved, s.late, s.live} {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("screen: register metrics: %w", err)
		}
	}
	s.evicted.WithLabelValues("shelved")
	for _, kind := range []string{"series", "pool", "service"} {
		s.evicted.WithLabelValues(kind)
		s.live.WithLabelValues(kind)
	}
	if err := s.reset(); err != nil {
		return nil, err
	}
	return s, nil
}

// reset makes the state empty.
func (s *Screen) reset() error {
	var err error
	s.series = newIndex(s.cfg.MaxSeries, s.makeRoom)
	if s.pools, err = simplelru.NewLRU(s.cfg.MaxSeries, func(engine.SeriesKey, *statistical.Proportion) { s.evicted.WithLabelValues("pool").Inc() }); err != nil {
		return fmt.Errorf("screen: pools: %w", err)
	}
	if s.services, err = simplelru.NewLRU(s.cfg.MaxServices, func(string, *service) { s.evicted.WithLabelValues("service").Inc() }); err != nil {
		return fmt.Errorf("screen: services: %w", err)
	}
	s.watchers = newWatchers(s.cfg)
	s.inflation = make(map[string]*statistical.Inflation)
	for _, detector := range []string{"latency", "errors", "traffic", "cost"} {
		s.inflation[detector] = statistical.NewInflation(s.cfg.HalfLife)
	}
	s.passedOn = passedOn{spans: make(map[spanRef]struct{})}
	s.closedUntil = time.Time{}
	return nil
}

// Observe implements engine.Screener.
func (s *Screen) Observe(spans []engine.Span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range spans {
		if spans[i].Failed {
			s.passedOn.note(spans[i].TraceID, spans[i].Parent)
		}
	}
	for i := range spans {
		span := &spans[i]
		if late := !windowStart(span.End, s.cfg.Window).Add(s.cfg.Window).After(s.closedUntil); late {
			s.late.Inc()
			continue
		}
		x, ownFault := s.lookUp(span.Series()), !s.passedOn.has(span.TraceID, span.SpanID)
		if x.pending {
			s.hold(x, span, ownFault)
		} else {
			s.take(x, span, ownFault)
		}
		v, ok := s.services.Get(span.Service)
		if !ok {
			v = newService(s.cfg)
			s.services.Add(span.Service, v)
		}
		if w := v.window(span.End, s.cfg.Window, s.closedUntil); w != nil {
			w.add(span, s.cfg.MaxUsers)
		}
		for _, x := range s.watchers {
			x.observe(span, s.closedUntil)
		}
	}
	s.live.WithLabelValues("series").Set(float64(s.series.len()))
	s.live.WithLabelValues("pool").Set(float64(s.pools.Len()))
	s.live.WithLabelValues("service").Set(float64(s.services.Len()))
}

func (s *Screen) lookUp(k engine.SeriesKey) *series {
	x := s.series.get(k)
	if x == nil {
		x = s.recall(k)
		s.series.add(x)
	}
	return x
}

// take takes a span into its series, unless too many of its windows are open.
func (s *Screen) take(x *series, span *engine.Span, ownFault bool) {
	s.change(x)
	w := x.timeline.at(span.End, s.cfg.Window)
	if w == nil {
		s.late.Inc()
		return
	}
	if span.Provider != "" && x.provider != span.Provider {
		x.provider = strings.Clone(span.Provider)
	}
	x.add(w, span, ownFault)
	x.versions.add(span, s.cfg.Window)
}

func (s *Screen) pool(k engine.SeriesKey) *statistical.Proportion {
	p, ok := s.pools.Get(poolKey(k))
	if !ok {
		p = s.nothing.Errors.Fresh()
		s.pools.Add(cloneKey(poolKey(k)), p)
	}
	return p
}

// baseline returns what to compare a span with: an empty one for an unknown series, since nothing is created.
func (s *Screen) baseline(span *engine.Span) *baseline {
	k := span.Series()
	if x := s.series.peek(k); x != nil {
		return &x.base
	}
	if x := s.visiting[k]; x != nil {
		return &x.base
	}
	return &s.nothing
}

// Advance implements engine.Screener.
func (s *Screen) Advance(watermark time.Time) []engine.Finding {
	until := watermark.Truncate(s.cfg.Window)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !until.After(s.closedUntil) {
		return nil
	}
	if len(s.wanted) > 0 {
		s.mu.Unlock()
		s.awaitAll() // they had the length of a window to be read
		s.mu.Lock()
	}
	s.closedUntil = until
	type ended struct {
		x *series
		w *window
	}
	var all []ended
	for _, x := range s.series.all() {
		if !x.timeline.ends(until, s.cfg.Window) {
			continue
		}
		s.change(x)
		for _, w := range x.timeline.due(until, s.cfg.Window) {
			all = append(all, ended{x, w})
		}
	}
	slices.SortStableFunc(all, func(a, b ended) int { return a.w.Start.Compare(b.w.Start) })
	var out []engine.Finding
	// One moment after the other, so that what is found does not depend on how many windows end at once.
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].w.Start.Equal(all[0].w.Start) {
			n++
		}
		moment := make([]*series, n)
		calm := make([]bool, n)
		first := len(out)
		for i, e := range all[:n] {
			found := s.closeWindow(e.x, e.w)
			moment[i], calm[i] = e.x, !slices.ContainsFunc(found, strange)
			out = append(out, found...)
		}
		for i := range out[first:] {
			if f := &out[first+i]; f.Type == engine.ErrorRate && strange(*f) {
				if x := s.series.peek(f.Series); x != nil {
					s.blame(f, x, moment)
				}
			}
		}
		// Learning comes after every judgement of the moment, so that the order of series does not matter.
		for i, e := range all[:n] {
			s.learn(e.x, e.w, !calm[i])
		}
		all = all[n:]
	}
	for _, name := range s.services.Keys() {
		v, _ := s.services.Peek(name)
		out = append(out, s.closeService(name, v, until)...)
	}
	for _, x := range s.watchers {
		out = append(out, x.advance(until)...)
	}
	sortFindings(out)
	return out
}

// closeWindow judges one window of a series.
func (s *Screen) closeWindow(x *series, w *window) []engine.Finding {
	var out []engine.Finding
	if f, ok := s.latencyOfWindow(x, w); ok {
		out = append(out, s.calibrate(f))
	}
	if f, ok := s.errorsOfWindow(x, w); ok {
		out = append(out, s.calibrate(f))
	}
	if f, ok := x.versions.compare(s.cfg, x.key, w.Start.Add(s.cfg.Window)); ok {
		out = append(out, f)
	}
	return out
}

// calibrate corrects a window's p-value by those of earlier calm windows: what the model of a detector leaves out, such as
// dependence between spans, is corrected by what it cost before.
func (s *Screen) calibrate(f engine.Finding) engine.Finding {
	i, ok := s.inflation[f.Detector]
	if !ok || f.Learning {
		return f
	}
	raw := f.P
	f.P = i.Correct(raw)
	if raw >= notLearnt {
		i.Add(f.At, raw)
	}
	return f
}

func (s *Screen) learn(x *series, w *window, strange bool) {
	if !learns(&x.strange, strange, w.Start.Add(s.cfg.Window), s.cfg.AdoptAfter) {
		return
	}
	x.base.learn(w)
	s.pool(x.key).Add(w.Start, w.Failed, w.Spans)
}

func (s *Screen) closeService(name string, v *service, until time.Time) []engine.Finding {
	var due []*serviceWindow
	for n, w := range v.Open {
		if !w.Start.Add(s.cfg.Window).After(until) {
			due = append(due, w)
			delete(v.Open, n)
		}
	}
	if len(due) > 0 {
		v.silent = 0
	}
	// A window without any span is a window with no requests. After a while of silence no more is told of it.
	const mostSilent = 12
	if !v.Last.IsZero() {
		for start := v.Last; v.silent < mostSilent && start.Before(until); start = start.Add(s.cfg.Window) {
			if !slices.ContainsFunc(due, func(w *serviceWindow) bool { return w.Start.Equal(start) }) {
				due = append(due, &serviceWindow{Start: start})
				v.silent++
			}
		}
	}
	slices.SortFunc(due, func(a, b *serviceWindow) int { return a.Start.Compare(b.Start) })
	var out []engine.Finding
	for _, w := range due {
		for _, f := range v.close(s.cfg, name, w) {
			out = append(out, s.calibrate(f))
		}
	}
	if !v.Last.IsZero() || len(due) > 0 {
		v.Last = until
	}
	return out
}

// Score implements engine.Screener.
func (s *Screen) Score(t *engine.Trace) []engine.Finding {
	keys := make([]engine.SeriesKey, len(t.Spans))
	for i := range t.Spans {
		keys[i] = t.Spans[i].Series()
	}
	visiting := s.await(keys)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.visiting = visiting
	defer func() { s.visiting = nil }()
	var out []engine.Finding
	for _, score := range []func(*engine.Trace) (engine.Finding, bool){s.latencyOfTrace, s.errorsOfTrace, s.tokensOfTrace} {
		if f, ok := score(t); ok {
			if f.Subject.Kind == "" {
				f.Subject = engine.Subject{Kind: engine.SubjectService, Value: t.Lead().Service}
			}
			out = append(out, f)
		}
	}
	for _, x := range s.watchers {
		out = append(out, x.score(t)...)
	}
	return out
}

// Learning implements engine.LearningReporter.
func (s *Screen) Learning() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, x := range s.series.all() {
		if x.base.Latency.Learning() {
			n++
		}
	}
	return n
}

// States implements engine.LearningReporter, a line a series, the busiest first.
func (s *Screen) States() []engine.LearningState {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]engine.LearningState, 0, s.series.len())
	for _, x := range s.series.all() {
		q := x.base.Latency
		st := engine.LearningState{
			Series: x.key, Detector: "latency", Learning: q.Learning(), Seen: q.Seen(), Needed: uint64(s.cfg.MinSamples),
		}
		if !st.Learning {
			st.Baseline = engine.Effect{Baseline: q.Median(), Current: q.Level(), Unit: "s"}
		}
		out = append(out, st)
	}
	slices.SortFunc(out, func(a, b engine.LearningState) int {
		if c := cmp.Compare(b.Seen, a.Seen); c != 0 {
			return c
		}
		return cmp.Compare(a.Series.String(), b.Series.String())
	})
	return out
}
