package security

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Screener implements engine.EventScreener and engine.Snapshotter.
type Screener struct {
	cfg      Config
	fade     float64 // of what was learnt, over one window
	halfLife int64   // windows
	adopt    int64   // ticks
	events   *prometheus.CounterVec
	late     prometheus.Counter
	lost     prometheus.Counter
	kept     *prometheus.GaugeVec

	mu sync.Mutex
	state
}

// state is everything that a snapshot holds.
type state struct {
	seen       *seen
	activities *table[activity] // by class and subject
	signatures *table[crowd]
	services   *table[crowd]
	violators  *table[violator]
	habits     *table[habits]
	guarded    *simplelru.LRU[engine.TraceID, guarded]
	answered   *simplelru.LRU[engine.TraceID, answered]
	passages   *simplelru.LRU[string, *passage]
	peers      map[string]*peers // by class and kind of subject
	recidivism map[string]recidivism
	found      []engine.Finding // to be returned by Advance
	began      int64            // tick of the first event
	folded     int64            // tick up to which all windows were folded
	today      int64            // the latest day with an attack
	active     int              // who attacked today
}

// New returns a screener that has seen nothing.
func New(cfg Config, registry prometheus.Registerer) (*Screener, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Screener{
		cfg:      cfg,
		fade:     math.Exp2(-float64(cfg.Window) / float64(cfg.HalfLife)),
		halfLife: int64(cfg.HalfLife / cfg.Window),
		adopt:    max(1, int64(cfg.AdoptAfter/(cfg.Window/ticks))),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sentinel_security_events_total", Help: "Security events taken in, by class; those with a known id are repeated."}, []string{"class"}),
		late: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sentinel_security_late_events_total", Help: "Security events too old to count in a window."}),
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sentinel_security_lost_findings_total", Help: "Findings dropped because too many waited."}),
		kept: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "sentinel_security_kept_items", Help: "What is remembered, by kind."}, []string{"kind"}),
	}
	for _, c := range []prometheus.Collector{s.events, s.late, s.lost, s.kept} {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("security: register metrics: %w", err)
		}
	}
	for _, name := range classNames {
		s.events.WithLabelValues(name)
	}
	s.events.WithLabelValues("repeated")
	var err error
	if s.state, err = newState(cfg); err != nil {
		return nil, err
	}
	return s, nil
}

var classNames = map[class]string{use: "use", success: "success", attack: "attack", limit: "limit", failure: "failure"}

func newState(cfg Config) (state, error) {
	st := state{
		seen: newSeen(cfg.MaxEvents),
		// Bursts are short: so is the memory of who is worth following.
		activities: newTable[activity](cfg.MaxSubjects, cfg.Window),
		signatures: newTable[crowd](cfg.MaxSignatures, cfg.HalfLife),
		services:   newTable[crowd](cfg.MaxServices, cfg.HalfLife),
		violators:  newTable[violator](cfg.MaxSubjects, repeatHorizon*24*time.Hour),
		habits:     newTable[habits](cfg.MaxSubjects, cfg.HalfLife),
		peers:      make(map[string]*peers),
		recidivism: make(map[string]recidivism),
	}
	var err error
	if st.guarded, err = simplelru.NewLRU[engine.TraceID, guarded](cfg.MaxTraces, nil); err != nil {
		return st, fmt.Errorf("security: guarded traces: %w", err)
	}
	if st.answered, err = simplelru.NewLRU[engine.TraceID, answered](cfg.MaxTraces, nil); err != nil {
		return st, fmt.Errorf("security: answered traces: %w", err)
	}
	if st.passages, err = simplelru.NewLRU[string, *passage](cfg.MaxServices, nil); err != nil {
		return st, fmt.Errorf("security: services: %w", err)
	}
	return st, nil
}

// Observe implements engine.EventScreener. What the events complete is returned by the next Advance.
func (s *Screener) Observe(events []engine.SecurityEvent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range events {
		if !s.seen.first(events[i].ID) {
			s.events.WithLabelValues("repeated").Inc()
			continue
		}
		e := s.read(&events[i])
		s.events.WithLabelValues(classNames[e.class]).Inc()
		if e.tick <= 0 {
			s.late.Inc()
			continue
		}
		if s.began == 0 {
			s.began = e.tick
		}
		// Without an Advance for a while, as when a backlog is read, windows are folded here.
		if e.tick-s.folded > 4*ticks {
			s.foldAll(due(e.tick))
		}
		s.take(&e)
	}
}

// take holds one event against each pattern.
func (s *Screener) take(e *event) {
	switch e.class {
	case use, success:
		s.uses(e, nil)
		if e.class == success {
			s.takeover(e)
		}
		return
	case attack:
		s.guard(e)
		s.repeats(e)
	}
	list := s.counted(e)
	s.uses(e, list)
	_, cause := s.bursts(e, list)
	if e.class != limit {
		if c, counted := s.crowdSaw(s.signatures, e.signature().Value, e); cause {
			c.blameOther(e.tick)
		} else if counted {
			cause = s.campaign(e, c)
		}
	}
	if c, counted := s.crowdSaw(s.services, e.service(), e); cause {
		c.blameOther(e.tick)
	} else if counted {
		s.floods(e, c)
	}
}

// Answered implements engine.EventScreener.
func (s *Screener) Answered(t *engine.Trace) {
	if len(t.Spans) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.works(t)
	s.answer(t)
}

// Advance implements engine.EventScreener. It learns from the windows that ended before the watermark and returns what was found
// since the last time, with event times that may lie after the watermark.
func (s *Screener) Advance(watermark time.Time) []engine.Finding {
	s.mu.Lock()
	defer s.mu.Unlock()
	if tick := s.tick(watermark); tick/ticks > s.folded/ticks {
		s.foldAll(tick)
		s.report()
	}
	out := s.found
	s.found = nil
	slices.SortStableFunc(out, func(a, b engine.Finding) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Series.String(), b.Series.String()), cmp.Compare(a.Subject.Value, b.Subject.Value))
	})
	return out
}

// foldAll learns from all windows that ended by tick limit.
func (s *Screener) foldAll(limit int64) {
	s.folded = max(s.folded, limit)
	for key, x := range s.activities.all() {
		s.foldActivity(x, s.peersBy(key), limit)
	}
	for _, t := range []*table[crowd]{s.signatures, s.services} {
		for _, c := range t.all() {
			s.foldCrowd(c, limit)
		}
	}
}

// finding starts one about a subject, of what began at a tick and goes on at the event.
func (s *Screener) finding(pattern string, e *event, who engine.Subject, first int64) engine.Finding {
	return engine.Finding{
		Type: engine.SecurityPattern, Detector: "security", At: e.At, Window: max(e.At.Sub(s.timeOf(first)), time.Second), P: 1, Material: true,
		Series: engine.SeriesKey{Service: e.service(), Operation: engine.Operation(pattern)}, Subject: who,
	}
}

// maxFound bounds the findings that wait for Advance.
const maxFound = 10_000

func (s *Screener) tell(f engine.Finding) {
	if len(s.found) >= maxFound {
		s.lost.Inc()
		return
	}
	s.found = append(s.found, f)
}

// report brings the metrics of what is kept up to date.
func (s *Screener) report() {
	for kind, n := range map[string]int{
		"activity": len(s.activities.items), "signature": len(s.signatures.items), "service": len(s.services.items),
		"violator": len(s.violators.items), "habits": len(s.habits.items), "trace": s.guarded.Len() + s.answered.Len(), "event": s.seen.len(),
	} {
		s.kept.WithLabelValues(kind).Set(float64(n))
	}
}

func subjectKey(who engine.Subject) string { return who.Kind + "|" + who.Value }

// activityKey begins with the key of the peers.
func activityKey(c class, who engine.Subject) string {
	return strconv.Itoa(int(c)) + "|" + who.Kind + "|" + who.Value
}

func (s *Screener) peersOf(c class, kind string) *peers {
	return s.peersAt(strconv.Itoa(int(c)) + "|" + kind)
}

// peersBy finds the peers of what has an activityKey.
func (s *Screener) peersBy(activity string) *peers {
	end := 2
	for end < len(activity) && activity[end] != '|' {
		end++
	}
	return s.peersAt(activity[:end])
}

func (s *Screener) peersAt(key string) *peers {
	p, ok := s.peers[key]
	if !ok {
		p = &peers{}
		s.peers[key] = p
	}
	return p
}

func hash(text string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(text))
	return h.Sum32()
}

// seen remembers the ids of the latest events, by a hash that nobody can make another id for.
type seen struct {
	ids   map[uint64]struct{}
	order []uint64 // a circle once it is full
	next  int
	most  int
}

func newSeen(most int) *seen { return &seen{ids: make(map[uint64]struct{}), most: most} }

func (s *seen) len() int { return len(s.order) }

// first reports whether the id is new. An event without one always is.
func (s *seen) first(id string) bool {
	if id == "" {
		return true
	}
	sum := sha256.Sum256([]byte(id))
	return s.add(binary.LittleEndian.Uint64(sum[:8]))
}

func (s *seen) add(h uint64) bool {
	if _, known := s.ids[h]; known {
		return false
	}
	s.ids[h] = struct{}{}
	if len(s.order) < s.most {
		s.order = append(s.order, h)
		return true
	}
	delete(s.ids, s.order[s.next])
	s.order[s.next] = h
	s.next = (s.next + 1) % s.most
	return true
}

// list returns the hashes, oldest first.
func (s *seen) list() []uint64 { return slices.Concat(s.order[s.next:], s.order[:s.next]) }
