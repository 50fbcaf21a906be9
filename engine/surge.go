package engine

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/llm-sentinel/llm-sentinel/statistical"
)

// surges finds what no single trace shows: that many traces are a little unusual at once. For each detector and subject the
// p-values of traces are counted over windows; under calm they are uniform, so that the number below a level is binomial.
// It is guarded by its owner.
type surges struct {
	cfg   SurgeConfig
	keys  *simplelru.LRU[surgeKey, *surge]
	until time.Time // windows that ended by then are closed
	// inflation is, by detector, of the p-values of calm windows: traces depend on each other, and what the binomial leaves out
	// of that is corrected by what it cost before.
	inflation map[string]*statistical.Inflation
}

// SurgeConfig says when many unusual traces are a finding. Times are event time.
type SurgeConfig struct {
	Window    time.Duration `yaml:"window"`
	MinTraces int           `yaml:"min_traces"` // unusual ones in the horizon
	MinExcess float64       `yaml:"min_excess"` // least share of unusual traces above what chance gives, in (0, 1)
	MaxKeys   int           `yaml:"max_keys"`   // detectors times subjects that are followed
}

type surgeKey struct {
	detector string
	subject  Subject
}

// surge is the recent windows of one detector and subject, newest last.
type surge struct {
	windows []surgeWindow
	strange time.Time // end of the latest window that showed something
}

type surgeWindow struct {
	start         time.Time
	traces        int
	below         [len(surgeLevels)]int
	material      int       // those with a material effect
	odd           int       // unusual ones
	unusual       []TraceID // the first of them
	example       Finding   // the least likely
	baseline, now float64   // sums of the effect over unusual traces
}

// surgeLevels are the p-values below which traces are counted, surgeHorizons the numbers of windows they are added up over.
var (
	surgeLevels   = [...]float64{0.2, 0.05, 0.005}
	surgeHorizons = [...]int{1, 3, 6, 12}
)

// maxUnusual bounds the traces that a window remembers.
const maxUnusual = 64

func newSurges(cfg SurgeConfig) (*surges, error) {
	keys, err := simplelru.NewLRU[surgeKey, *surge](cfg.MaxKeys, nil)
	if err != nil {
		return nil, fmt.Errorf("engine: surges: %w", err)
	}
	return &surges{cfg: cfg, keys: keys, inflation: make(map[string]*statistical.Inflation)}, nil
}

// unusual reports whether a finding counts as unusual for a single trace.
func (f *Finding) unusual() bool { return !f.Learning && f.Material && f.P < unusualBelow }

// unusualBelow is the p-value from which on a trace counts as unusual; it is one of surgeLevels.
const unusualBelow = 0.05

// add counts what a detector said of one trace.
func (s *surges) add(f *Finding) {
	if f.Learning || f.Subject.Value == "" {
		return
	}
	k := surgeKey{f.Detector, f.Subject}
	x, ok := s.keys.Get(k)
	if !ok {
		x = &surge{}
		s.keys.Add(k, x)
	}
	w := x.window(s.windowOf(f.At))
	w.traces++
	if !f.Material {
		return
	}
	w.material++
	for i, level := range surgeLevels {
		if f.P < level {
			w.below[i]++
		}
	}
	if !f.unusual() {
		return
	}
	w.odd++
	if len(w.unusual) < maxUnusual {
		w.unusual = append(w.unusual, f.TraceID)
	}
	if w.example.Type == "" || f.P < w.example.P {
		w.example = *f
	}
	w.baseline += f.Effect.Baseline
	w.now += f.Effect.Current
}

// windowOf is the start of the window in which t lies; what comes late is counted with what is open.
func (s *surges) windowOf(t time.Time) time.Time {
	if start := t.Truncate(s.cfg.Window); start.After(s.until) {
		return start
	}
	return s.until
}

func (x *surge) window(start time.Time) *surgeWindow {
	i, found := slices.BinarySearchFunc(x.windows, start, func(w surgeWindow, t time.Time) int { return w.start.Compare(t) })
	if !found {
		x.windows = slices.Insert(x.windows, i, surgeWindow{start: start})
	}
	return &x.windows[i]
}

// advance closes the windows that ended before the watermark and returns what they show.
func (s *surges) advance(watermark time.Time) []Finding {
	until := watermark.Truncate(s.cfg.Window)
	if !until.After(s.until) {
		return nil
	}
	s.until = until
	longest := surgeHorizons[len(surgeHorizons)-1]
	var out []Finding
	for _, k := range s.keys.Keys() {
		x, _ := s.keys.Peek(k)
		x.windows = slices.DeleteFunc(x.windows, func(w surgeWindow) bool {
			return w.start.Before(until.Add(-time.Duration(longest) * s.cfg.Window))
		})
		f, p := s.judge(k, x, until)
		if f.Type != "" {
			f.P = s.inflationOf(k.detector).Correct(f.P)
			out = append(out, f)
			if f.P < notCalm {
				x.strange = until
			}
		}
		if p >= notCalm {
			s.inflationOf(k.detector).Add(until, p)
		}
	}
	slices.SortFunc(out, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Detector, b.Detector), cmp.Compare(a.Subject.Kind, b.Subject.Kind), cmp.Compare(a.Subject.Value, b.Subject.Value))
	})
	return out
}

// notCalm is the p-value below which a window is a surge, inflationHalfLife how fast corrections are forgotten.
const (
	notCalm           = 1e-3
	inflationHalfLife = 72 * time.Hour
)

func (s *surges) inflationOf(detector string) *statistical.Inflation {
	i, ok := s.inflation[detector]
	if !ok {
		i = statistical.NewInflation(inflationHalfLife)
		s.inflation[detector] = i
	}
	return i
}

// judge tests the windows of one key that ended by until, over each horizon. What is over is not told again: the latest window
// must hold at least half the share of unusual traces that the horizon holds. The finding has no type when there is nothing to tell;
// p is the p-value of the windows whether or not there is, and 0 when there was no trace.
func (s *surges) judge(k surgeKey, x *surge, until time.Time) (best Finding, p float64) {
	closed := x.windows
	for len(closed) > 0 && !closed[len(closed)-1].start.Before(until) {
		closed = closed[:len(closed)-1]
	}
	if len(closed) == 0 || closed[len(closed)-1].start.Before(until.Add(-s.cfg.Window)) {
		return Finding{}, 0
	}
	last := &closed[len(closed)-1]
	lastShare := float64(last.odd) / float64(last.traces)
	best.P, p = 1, 1
	for _, n := range surgeHorizons {
		from := until.Add(-time.Duration(n) * s.cfg.Window)
		sum := surgeWindow{start: last.start}
		going := true
		for i := len(closed) - 1; i >= 0; i-- {
			w := &closed[i]
			if w.start.Before(from) {
				break
			}
			// It began with the first of the windows without a gap that are at least half as intense as the last.
			if going = going && 2*float64(w.odd) >= lastShare*float64(w.traces); going {
				sum.start = w.start
			}
			sum.traces += w.traces
			sum.material += w.material
			sum.odd += w.odd
			for l := range sum.below {
				sum.below[l] += w.below[l]
			}
			sum.unusual = append(sum.unusual, w.unusual...)
			sum.baseline += w.baseline
			sum.now += w.now
			if w.example.Type != "" && (sum.example.Type == "" || w.example.P < sum.example.P) {
				sum.example = w.example
			}
		}
		chance := 1.0
		for l, level := range surgeLevels {
			chance = min(chance, statistical.BinomialUpperP(sum.below[l], sum.traces, level))
		}
		chance = min(1, chance*float64(len(surgeLevels)*len(surgeHorizons))) // as many looks
		p = min(p, chance)
		share := float64(sum.odd) / float64(sum.traces)
		if chance >= best.P || sum.odd < s.cfg.MinTraces || share-unusualBelow < s.cfg.MinExcess || 2*lastShare < share {
			continue
		}
		best = sum.example
		best.P, best.At, best.Window = chance, until, until.Sub(sum.start)
		best.Traces = sum.unusual
		count := float64(sum.odd)
		best.Effect.Baseline, best.Effect.Current = sum.baseline/count, sum.now/count
		if best.Effect.Unit == UnitProportion {
			best.Effect.Current = float64(sum.material) / float64(sum.traces)
		}
		best.Reason = fmt.Sprintf("%d of %d traces of %s %s are unusual (%s), where chance gives %.0f %%",
			sum.odd, sum.traces, k.subject.Kind, k.subject.Value, k.detector, 100*unusualBelow)
	}
	return best, p
}

// during reports whether the detector saw a surge about the subject at t or within the hold after it.
func (s *surges) during(f *Finding, hold time.Duration) bool {
	x, ok := s.keys.Peek(surgeKey{f.Detector, f.Subject})
	return ok && !x.strange.IsZero() && !x.strange.Before(f.At) && x.strange.Sub(f.At) <= hold+s.cfg.Window
}
