package topic

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/statistical"
)

// Watcher implements engine.TopicWatcher.
type Watcher struct {
	cfg Config

	mu       sync.Mutex
	services *simplelru.LRU[serviceKey, *service]
}

type serviceKey struct{ Model, Service string }

// service is what one service is asked, under one model.
type service struct {
	Clusters  []*cluster
	NextID    int
	Words     map[string]float64 // decayed counts over all prompts
	Total     float64            // decayed prompts
	Reference [][]float32        // a sample of the prompts of calm windows
	Kept      int                // prompts that the reference was drawn from
	Calm      int                // calm windows
	Strange   int                // windows in a row that were not
	Previous  float64            // p-value of the window before, when it had drifted

	Since time.Time // start of the first window

	// the open window
	Start   time.Time
	Latest  time.Time
	Sample  [][]float32
	Prompts int
	PerUser map[string]int

	inflation *statistical.Inflation
}

// Bounds of the two-sample test. Each window's is some 30,000 kernel values.
const (
	referenceSize = 128
	sampleSize    = 64
	permutations  = 200
)

// driftP is the p-value below which a window has drifted, growthP that below which a topic has grown in it.
const (
	driftP  = 1e-3
	growthP = 1e-3
)

// New returns a Watcher that has seen nothing.
func New(cfg Config) (*Watcher, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	services, err := simplelru.NewLRU[serviceKey, *service](cfg.MaxServices, nil)
	if err != nil {
		return nil, fmt.Errorf("topics: %w", err)
	}
	return &Watcher{cfg: cfg, services: services}, nil
}

func (w *Watcher) newService() *service {
	return &service{Words: make(map[string]float64), PerUser: make(map[string]int), inflation: statistical.NewInflation(w.cfg.HalfLife)}
}

func (w *Watcher) proportion() *statistical.Proportion {
	return statistical.NewProportion(statistical.ProportionConfig{HalfLife: w.cfg.HalfLife})
}

// Observe implements engine.TopicWatcher. Of a trace each prompt counts by its first chunk.
func (w *Watcher) Observe(o engine.Observation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range o.Texts {
		if t.Kind != engine.TextUserPrompt || t.Chunk != 0 || !engine.Usable(t.Vector) {
			continue
		}
		span := &o.Trace.Spans[t.Span]
		k := serviceKey{o.Model.Name, span.Service}
		s, ok := w.services.Get(k)
		if !ok {
			s = w.newService()
			w.services.Add(k, s)
		}
		w.observe(s, o.Trace, span.User, &t)
	}
}

func (w *Watcher) observe(s *service, trace *engine.Trace, user string, t *engine.Text) {
	at := trace.End()
	if s.Start.IsZero() {
		s.Start = at.Truncate(w.cfg.Window)
		s.Since = s.Start
	}
	if at.Before(s.Start) {
		return // its window has closed
	}
	if user != "" {
		if s.PerUser[user] >= w.cfg.PerUser || len(s.PerUser) >= maxUsers && s.PerUser[user] == 0 {
			return
		}
		s.PerUser[user]++
	}
	if at.After(s.Latest) {
		s.Latest = at
	}
	c, similarity := nearest(s.Clusters, t.Vector)
	if c == nil || similarity < w.cfg.Join {
		c = w.born(s, len(t.Vector), at)
	}
	words := wordsOf(t.Text)
	c.add(t.Vector, words)
	c.Example = engine.Cut(t.Text, w.cfg.Excerpt)
	if at.After(c.Last) {
		c.Last = at
	}
	c.Count++
	if user != "" && len(c.Users) < maxUsers {
		c.Users[user] = true
	}
	if len(c.Traces) < maxTraces {
		c.Traces = append(c.Traces, trace.ID)
	}
	s.Total++
	for _, x := range words {
		s.Words[x]++
	}
	if len(s.Words) > 64*maxWords {
		prune(s.Words, 32*maxWords)
	}
	s.Prompts++
	reservoir(&s.Sample, t.Vector, s.Prompts, sampleSize, uint64(s.NextID))
}

// reservoir keeps a uniform sample of n vectors of which v is the latest (Vitter's algorithm R).
func reservoir(sample *[][]float32, v []float32, n, size int, seed uint64) {
	if len(*sample) < size {
		*sample = append(*sample, slices.Clone(v))
		return
	}
	if i := rand.New(rand.NewPCG(uint64(n), seed)).IntN(n); i < size {
		(*sample)[i] = slices.Clone(v)
	}
}

// born makes a cluster, where there are too many in place of the lightest that has nothing in the open window, or else of the lightest.
func (w *Watcher) born(s *service, dimension int, at time.Time) *cluster {
	if len(s.Clusters) >= w.cfg.MaxTopics {
		lightest := 0
		for i, c := range s.Clusters {
			l := s.Clusters[lightest]
			if (c.Count > 0) == (l.Count > 0) && c.Weight < l.Weight || c.Count == 0 && l.Count > 0 {
				lightest = i
			}
		}
		s.Clusters = slices.Delete(s.Clusters, lightest, lightest+1)
	}
	c := &cluster{
		ID: s.NextID, Sum: make([]float32, dimension), Born: at, Words: make(map[string]float64), Users: make(map[string]bool), P: 1, share: w.proportion(),
	}
	c.share.Add(at, 0, int(min(500, s.Total))) // nobody asked about it before
	s.NextID++
	s.Clusters = append(s.Clusters, c)
	return c
}

// Advance implements engine.TopicWatcher.
func (w *Watcher) Advance(watermark time.Time) []engine.Finding {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []engine.Finding
	for _, k := range w.services.Keys() {
		s, _ := w.services.Peek(k)
		if s.Start.IsZero() || watermark.Before(s.Start.Add(w.cfg.Window)) || s.Prompts < w.cfg.MinPrompts {
			continue
		}
		if f, ok := w.close(k, s, watermark.Truncate(w.cfg.Window)); ok {
			out = append(out, f)
		}
	}
	slices.SortFunc(out, func(a, b engine.Finding) int { return cmp.Compare(a.Subject.Value, b.Subject.Value) })
	return out
}

// close judges a window and learns from it when it is calm. A drift is told in the second window in a row that has it: an hour is soon odd.
func (w *Watcher) close(k serviceKey, s *service, end time.Time) (f engine.Finding, told bool) {
	w.tidy(s)
	_, raw := statistical.MMD(s.Reference, s.Sample, permutations, uint64(end.Unix()))
	learning := s.Calm < w.cfg.MinWindows
	p := raw
	if !learning {
		p = s.inflation.Correct(raw)
	}
	grown := w.judge(s)
	drifted := !learning && p < driftP && grown != nil
	if drifted {
		both := max(p, grown.P)
		f, told = w.finding(k, s, grown, end), s.Strange > 0
		// Under calm two windows that share no prompt are both as small as the larger of the two with the square of its probability.
		f.P = min(1, w.looks(s)*math.Pow(max(both, s.Previous), 2))
		s.Previous = both
	}
	if drifted && time.Duration(s.Strange)*w.cfg.Window < w.cfg.AdoptAfter {
		s.Strange++
	} else {
		s.Strange, s.Previous = 0, 0
		w.learn(s, end)
		if len(s.Reference) >= referenceSize/2 && !drifted {
			s.inflation.Add(end, raw)
		}
	}
	w.open(s, end)
	return f, told
}

// tidy makes one of clusters whose centres have come close.
func (w *Watcher) tidy(s *service) {
	slices.SortStableFunc(s.Clusters, func(a, b *cluster) int { return cmp.Or(cmp.Compare(b.Weight, a.Weight), cmp.Compare(a.ID, b.ID)) })
	for i := 0; i < len(s.Clusters); i++ {
		for j := i + 1; j < len(s.Clusters); j++ {
			if cosine(s.Clusters[i].Sum, s.Clusters[j].Sum) >= w.cfg.Merge {
				s.Clusters[i].merge(s.Clusters[j])
				s.Clusters = slices.Delete(s.Clusters, j, j+1)
				j--
			}
		}
	}
}

// judge tests each topic's share of the window and returns the one that grew most of those for which that is no chance and matters.
func (w *Watcher) judge(s *service) (grown *cluster) {
	for _, c := range s.Clusters {
		c.P = c.share.UpperP(c.Count, s.Prompts)
		rise := float64(c.Count)/float64(s.Prompts) - c.share.Rate()
		enough := len(s.PerUser) == 0 || len(c.Users) >= w.cfg.MinUsers
		if c.P*float64(len(s.Clusters)) < growthP && rise >= w.cfg.MinShift && enough && (grown == nil || c.P < grown.P) {
			grown = c
		}
	}
	return grown
}

// looks is how many tests a day has, by which a p-value is corrected (Bonferroni): each topic and the mix, in each window.
func (w *Watcher) looks(s *service) float64 {
	return float64(len(s.Clusters)+1) * max(1, float64(24*time.Hour)/float64(w.cfg.Window))
}

func (w *Watcher) finding(k serviceKey, s *service, c *cluster, end time.Time) engine.Finding {
	if c.Name == "" {
		c.Name = c.title(s)
	}
	share := float64(c.Count) / float64(s.Prompts)
	return engine.Finding{
		Type: engine.TopicDrift, Detector: "topics", At: end, Window: end.Sub(s.Start), Series: engine.SeriesKey{Service: k.Service},
		Subject: engine.Subject{Kind: engine.SubjectTopic, Value: k.Service + ": " + c.Name}, Traces: slices.Clone(c.Traces),
		P: 1, Material: true, Excerpt: c.Example,
		Effect: engine.Effect{Baseline: c.share.Rate(), Current: share, Unit: "ratio"},
		Reason: fmt.Sprintf("%d of %d prompts of %s are about %s, normally %.0f %%; the mix of what is asked has changed",
			c.Count, s.Prompts, k.Service, c.Name, 100*c.share.Rate()),
	}
}

// learn takes a calm window into the shares and the reference.
func (w *Watcher) learn(s *service, end time.Time) {
	s.Calm++
	for _, c := range s.Clusters {
		c.share.Add(end, c.Count, s.Prompts)
	}
	for _, v := range s.Sample {
		// The far past is forgotten: the reference is of the latest ten times its size.
		s.Kept = min(s.Kept+1, 10*referenceSize)
		if len(s.Reference) < referenceSize {
			s.Reference = append(s.Reference, v)
		} else if i := rand.New(rand.NewPCG(uint64(end.Unix()), math.Float64bits(float64(v[0])))).IntN(s.Kept); i < referenceSize {
			s.Reference[i] = v
		}
	}
}

// open begins the next window; topics that nobody asks about any more die.
func (w *Watcher) open(s *service, end time.Time) {
	fading := math.Exp2(-float64(end.Sub(s.Start)) / float64(w.cfg.HalfLife))
	s.Total *= fading
	for x := range s.Words {
		s.Words[x] *= fading
	}
	s.Clusters = slices.DeleteFunc(s.Clusters, func(c *cluster) bool {
		c.History = append(c.History, engine.TopicPoint{At: end, Prompts: c.Count, Of: s.Prompts})
		c.History = c.History[max(0, len(c.History)-maxHistory):]
		c.decay(fading)
		c.Count, c.Users, c.Traces = 0, make(map[string]bool), nil
		return c.Weight < 0.5
	})
	s.Start, s.Sample, s.Prompts, s.PerUser = end, nil, 0, make(map[string]int)
}
