package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

// screener is a statistical tier that says of traces what score says, and of windows what windows holds for the watermark.
type screener struct {
	mu       sync.Mutex
	Observed int // spans; exported for the snapshot
	score    func(*Trace) []Finding
	windows  func(mark time.Time) []Finding
	last     time.Time
	spans    []Span
}

func (s *screener) Observe(spans []Span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Observed += len(spans)
	s.spans = append(s.spans, spans...)
}

func (s *screener) Advance(mark time.Time) []Finding {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = mark
	if s.windows == nil {
		return nil
	}
	return s.windows(mark)
}

func (s *screener) Score(t *Trace) []Finding {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.score == nil {
		return nil
	}
	return s.score(t)
}

func (s *screener) seen() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Observed
}

func (s *screener) Snapshot(w io.Writer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return json.NewEncoder(w).Encode(s.Observed)
}

func (s *screener) Restore(r io.Reader) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return json.NewDecoder(r).Decode(&s.Observed)
}

// detector says what score says and keeps what it learns.
type detector struct {
	name    string
	mu      sync.Mutex
	score   func(Observation) ([]Finding, error)
	learnt  []TraceID
	taught  []Finding // what it was told to have said of those
	asked   []Observation
	failing error
	recalls bool // asks the memory before it scores, and learns into it
}

func (d *detector) Name() string { return d.name }

func (d *detector) Score(ctx context.Context, o Observation) ([]Finding, error) {
	if d.recalls {
		if _, err := o.Memory.Nearest(ctx, Query{}); err != nil {
			return nil, err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, o)
	if d.failing != nil {
		return nil, d.failing
	}
	if d.score == nil {
		return nil, nil
	}
	return d.score(o)
}

func (d *detector) Learn(ctx context.Context, o Observation) error {
	if d.recalls {
		if err := o.Memory.Remember(ctx, []Memo{{ID: o.Trace.ID.String()}}); err != nil {
			return err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.learnt = append(d.learnt, o.Trace.ID)
	if own, said := o.Own(d.name); said {
		d.taught = append(d.taught, own)
	}
	return d.failing
}

func (d *detector) knows() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.learnt)
}

func (d *detector) models() (out []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, o := range d.asked {
		out = append(out, o.Model.Name)
	}
	return out
}

func (d *detector) Snapshot(w io.Writer) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return json.NewEncoder(w).Encode(d.learnt)
}

func (d *detector) Restore(r io.Reader) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return json.NewDecoder(r).Decode(&d.learnt)
}

// embedder gives every text the same vector, unless it fails or is held up.
type embedder struct {
	model Model
	mu    sync.Mutex
	err   error
	short bool          // gives too few vectors
	hold  chan struct{} // waits for it to close
	texts []string
}

func (e *embedder) Model() Model { return e.model }

func (e *embedder) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	e.mu.Lock()
	e.texts = append(e.texts, texts...)
	err, short, hold := e.err, e.short, e.hold
	e.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if err != nil {
		return nil, err
	}
	out := make([][]float32, len(texts))
	for i := range out {
		out[i] = []float32{1, 0}
	}
	if short {
		out = out[1:]
	}
	return out, nil
}

func (e *embedder) set(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.err = err
}

// recall is a memory that keeps and forgets by id, unless it fails or is held up.
type recall struct {
	mu    sync.Mutex
	memos []Memo
	calls int
	err   error
	hold  bool // answers nothing before the caller gives up
}

func (m *recall) answer(ctx context.Context) error {
	m.mu.Lock()
	m.calls++
	err, hold := m.err, m.hold
	m.mu.Unlock()
	if hold {
		<-ctx.Done()
		return ctx.Err()
	}
	return err
}

func (m *recall) set(err error, hold bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err, m.hold = err, hold
}

func (m *recall) Remember(ctx context.Context, items []Memo) error {
	if err := m.answer(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.memos = append(m.memos, items...)
	return nil
}

// Nearest finds all texts of confirmed incidents alike, and nothing else.
func (m *recall) Nearest(ctx context.Context, q Query) (out []Neighbor, err error) {
	if err := m.answer(ctx); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, x := range m.memos {
		if x.Collection == q.Collection && x.Collection.Purpose == PurposeIncident {
			out = append(out, Neighbor{Memo: x, Similarity: 0.9})
		}
	}
	return out, nil
}

func (m *recall) Forget(ctx context.Context, f Filter) (int, error) {
	if err := m.answer(ctx); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	before := len(m.memos)
	m.memos = slices.DeleteFunc(m.memos, func(x Memo) bool { return x.Collection == f.Collection && slices.Contains(f.IDs, x.ID) })
	return before - len(m.memos), nil
}

// store is a journal, a log of markers, a store of snapshots and a backlog in memory. What it holds is what a crash leaves.
type store struct {
	mu        sync.Mutex
	incidents map[string]Incident
	anomalies map[string]Anomaly
	markers   []ChangeMarker
	snapshots map[string][]byte
	waiting   []Deferred
	deferred  int
	alerts    []Alert // as committed
	logged    []LoggedEvent
	tooLarge  map[string]bool // names of snapshots that it never takes
	feedback  []Feedback
	entries   []Entry
	err       error
	failures  int                 // calls that fail before the store answers again
	refuse    func(e Entry) error // what it takes never
	hold      chan struct{}       // waits for it to close before it answers
}

func newStore() *store {
	return &store{incidents: make(map[string]Incident), anomalies: make(map[string]Anomaly), snapshots: make(map[string][]byte)}
}

func (s *store) do(ctx context.Context, f func()) error {
	s.mu.Lock()
	hold := s.hold
	s.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failures > 0 {
		s.failures--
		return errors.New("store does not answer")
	}
	if s.err != nil {
		return s.err
	}
	f()
	return nil
}

func (s *store) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *store) Record(ctx context.Context, e Entry) error {
	if s.refuse != nil {
		if err := s.refuse(e); err != nil {
			return err
		}
	}
	return s.do(ctx, func() {
		s.entries = append(s.entries, e)
		for _, a := range e.Anomalies {
			s.anomalies[a.ID] = a
		}
		for _, in := range e.Incidents {
			s.incidents[in.ID] = in
		}
		for _, a := range e.Alerts {
			if !slices.ContainsFunc(s.alerts, func(have Alert) bool { return have.ID == a.ID }) {
				s.alerts = append(s.alerts, a)
			}
		}
		s.logged = append(s.logged, e.Events...)
	})
}

func (s *store) LoggedEvents(ctx context.Context) (out []LoggedEvent, err error) {
	err = s.do(ctx, func() { out = slices.Clone(s.logged) })
	return out, err
}

func (s *store) ForgetEvents(ctx context.Context, last int64) error {
	return s.do(ctx, func() {
		s.logged = slices.DeleteFunc(s.logged, func(e LoggedEvent) bool { return e.Number <= last })
	})
}

// numbers are those of the events in the log.
func (s *store) numbers() (out []int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.logged {
		out = append(out, e.Number)
	}
	return out
}

func (s *store) AddFeedback(ctx context.Context, f Feedback) error {
	return s.do(ctx, func() { s.feedback = append(s.feedback, f) })
}

func (s *store) Feedback(ctx context.Context, _, cursor string, limit int) (page Page[Feedback], err error) {
	err = s.do(ctx, func() {
		from := 0
		if cursor != "" {
			from, err = strconv.Atoi(cursor)
		}
		newest := slices.Clone(s.feedback)
		slices.Reverse(newest)
		page.Items = newest[from:min(from+limit, len(newest))]
		if from+limit < len(newest) {
			page.Next = strconv.Itoa(from + limit)
		}
	})
	return page, err
}

func (s *store) UndoFeedback(ctx context.Context, id string, at time.Time, by string) (f Feedback, err error) {
	err = s.do(ctx, func() {
		i := slices.IndexFunc(s.feedback, func(f Feedback) bool { return f.ID == id })
		s.feedback[i].Undone, s.feedback[i].UndoneBy = &at, by
		f = s.feedback[i]
	})
	return f, err
}

func (s *store) Anomaly(_ context.Context, id string) (Anomaly, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a, ok := s.anomalies[id]; ok {
		return a, nil
	}
	return Anomaly{}, Errorf(CodeNotFound, "no anomaly %s", id)
}

func (s *store) Anomalies(_ context.Context, q AnomalyQuery) (page Page[Anomaly], err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.anomalies {
		if a.IncidentID == q.IncidentID && a.Type == q.Type {
			page.Items = append(page.Items, a)
		}
	}
	return page, nil
}

func (s *store) Incident(_ context.Context, id string) (Incident, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if in, ok := s.incidents[id]; ok {
		return in, nil
	}
	return Incident{}, Errorf(CodeNotFound, "no incident %s", id)
}

// told lists the changes that were committed to be alerted of.
func (s *store) told() (out []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.alerts {
		out = append(out, a.Change)
	}
	return out
}

// copy is what a crash at this moment leaves.
func (s *store) copy() *store {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := newStore()
	out.incidents, out.anomalies, out.snapshots = maps.Clone(s.incidents), maps.Clone(s.anomalies), maps.Clone(s.snapshots)
	out.feedback = slices.Clone(s.feedback)
	out.markers, out.waiting, out.alerts = slices.Clone(s.markers), slices.Clone(s.waiting), slices.Clone(s.alerts)
	out.logged = slices.Clone(s.logged)
	return out
}

func (s *store) ActiveIncidents(ctx context.Context, since time.Time) (out []Incident, err error) {
	err = s.do(ctx, func() {
		for _, in := range s.incidents {
			if in.Status != StatusResolved || !in.ResolvedAt.Before(since) {
				out = append(out, in)
			}
		}
	})
	return out, err
}

func (s *store) AddMarkers(ctx context.Context, markers []ChangeMarker) error {
	return s.do(ctx, func() { s.markers = append(s.markers, markers...) })
}

func (s *store) Markers(ctx context.Context, from, to time.Time) (out []ChangeMarker, err error) {
	err = s.do(ctx, func() {
		for _, m := range s.markers {
			if !m.At.Before(from) && m.At.Before(to) {
				out = append(out, m)
			}
		}
	})
	return out, err
}

func (s *store) SaveSnapshot(ctx context.Context, name string, _ time.Time, data []byte) error {
	if s.tooLarge[name] {
		return Errorf(CodeTooLarge, "%s is too large", name)
	}
	return s.do(ctx, func() { s.snapshots[name] = slices.Clone(data) })
}

func (s *store) LoadSnapshot(_ context.Context, name string) ([]byte, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, ok := s.snapshots[name]
	if !ok {
		return nil, time.Time{}, Errorf(CodeNotFound, "no snapshot %s", name)
	}
	return data, time.Now(), nil
}

func (s *store) Defer(ctx context.Context, d Deferred) error {
	return s.do(ctx, func() { s.waiting, s.deferred = append(s.waiting, d), s.deferred+1 })
}

func (s *store) NextDeferred(ctx context.Context, n int) (out []Deferred, err error) {
	err = s.do(ctx, func() { out = slices.Clone(s.waiting[:min(n, len(s.waiting))]) })
	return out, err
}

func (s *store) FinishDeferred(ctx context.Context, ids []TraceID) error {
	return s.do(ctx, func() {
		s.waiting = slices.DeleteFunc(s.waiting, func(d Deferred) bool { return slices.Contains(ids, d.Trace.ID) })
	})
}

func (s *store) list() []Incident {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.incidents), func(a, b Incident) int { return cmp.Compare(a.Fingerprint, b.Fingerprint) })
}

func (s *store) found() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.anomalies)
}

func (s *store) left() (waiting, everDeferred int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting), s.deferred
}

// everything is what the store holds as it would be written.
func (s *store) everything(t testing.TB) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, err := json.Marshal(struct {
		A map[string]Anomaly
		I map[string]Incident
		M []ChangeMarker
		D []Deferred
		S map[string][]byte
		N []Alert
		E []LoggedEvent
	}{s.anomalies, s.incidents, s.markers, s.waiting, s.snapshots, s.alerts, s.logged})
	require.NoError(t, err)
	return string(data)
}

// explainer writes a note and keeps what it was given.
type explainer struct {
	mu    sync.Mutex
	asked []Incident
	err   error
	hold  chan struct{} // waits for it to close
}

func (e *explainer) Explain(_ context.Context, in Incident, ev Evidence) (Explanation, error) {
	if e.hold != nil {
		<-e.hold
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	in.Evidence = &ev
	e.asked = append(e.asked, in)
	return Explanation{Summary: in.Title, Author: "test", EvidenceDigest: ev.Digest}, e.err
}

// observer keeps the alerts, and counts how often somebody was woken for them.
type observer struct {
	mu     sync.Mutex
	alerts []Alert
	woken  int
}

func (n *observer) observe(a Alert) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.alerts = append(n.alerts, a)
}

func (n *observer) wake() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.woken++
}

func (n *observer) changes() (out []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range n.alerts {
		out = append(out, a.Change)
	}
	return out
}

// guard is a screener of security events that says what show says after so many of them.
type guard struct {
	mu       sync.Mutex
	Seen     int // exported for the snapshot
	events   []SecurityEvent
	answered []TraceID
	marks    []time.Time
	show     func(g *guard, mark time.Time) []Finding
}

func (g *guard) Observe(events []SecurityEvent) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.events = append(g.events, events...)
	g.Seen += len(events)
}

func (g *guard) Answered(t *Trace) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.answered = append(g.answered, t.ID)
}

func (g *guard) Advance(mark time.Time) []Finding {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.marks = append(g.marks, mark)
	if g.show == nil {
		return nil
	}
	return g.show(g, mark)
}

func (g *guard) Snapshot(w io.Writer) error { return json.NewEncoder(w).Encode(g.Seen) }
func (g *guard) Restore(r io.Reader) error  { return json.NewDecoder(r).Decode(&g.Seen) }

// plant is a pipeline with its fakes.
type plant struct {
	*Pipeline
	t         *testing.T
	cfg       Config
	screener  *screener
	workflow  *detector
	content   *detector
	semantic  *detector
	preferred *embedder
	builtin   *embedder
	memory    *recall // of the preferred embedder
	standIn   *recall // of the built-in one
	store     *store
	explainer *explainer
	observer  *observer
	guard     *guard
	quiet     bool // nobody receives alerts
	stop      func() error
	traces    int
}

func newPlant(t *testing.T, change ...func(*Config)) *plant {
	x := &plant{
		t: t, cfg: DefaultConfig(), screener: &screener{}, workflow: &detector{name: "workflow"}, content: &detector{name: "content"}, semantic: &detector{name: "semantic"},
		preferred: &embedder{model: Model{Name: "preferred", Dimension: 2}}, builtin: &embedder{model: Model{Name: "builtin", Dimension: 2}},
		memory: &recall{}, standIn: &recall{}, store: newStore(), explainer: &explainer{}, observer: &observer{},
	}
	x.cfg.SampleRate = 1
	for _, f := range change {
		f(&x.cfg)
	}
	x.build()
	return x
}

// examples lists what is kept of lessons in either memory, as "model purpose text" in order.
func (x *plant) examples() (out []string) {
	for _, m := range []*recall{x.memory, x.standIn} {
		m.mu.Lock()
		for _, memo := range m.memos {
			if strings.HasPrefix(memo.ID, "lesson-") {
				out = append(out, strings.Join([]string{memo.Collection.Model.Name, string(memo.Collection.Purpose), memo.Text}, " "))
			}
		}
		m.mu.Unlock()
	}
	slices.Sort(out)
	return out
}

func (x *plant) build() {
	x.t.Helper()
	parts := Parts{
		Screener: x.screener, Workflow: []Detector{x.workflow}, Content: []Detector{x.content}, Semantic: []Detector{x.semantic},
		Lenses:   []Lens{{x.preferred, x.memory, "remote"}, {x.builtin, x.standIn, "embedded"}},
		Redactor: secretive{}, Explainer: x.explainer, Observe: x.observer.observe, Wake: x.observer.wake,
		Journal: x.store, Markers: x.store, Snapshots: x.store, EventLog: x.store, Backlog: x.store, Feedback: x.store, Records: x.store,
		Registry: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
	}
	if x.guard != nil {
		parts.Events = x.guard
	}
	if x.quiet {
		parts.Wake = nil
	}
	var err error
	x.Pipeline, err = New(x.cfg, parts)
	require.NoError(x.t, err)
}

// restart is another process with the same parts outside, after a stop or a crash.
func (x *plant) restart() *plant {
	y := newPlant(x.t)
	y.cfg, y.store, y.memory, y.traces = x.cfg, x.store, x.memory, x.traces
	y.screener.score, y.screener.windows = x.screener.score, x.screener.windows
	y.workflow.score, y.content.score, y.semantic.score = x.workflow.score, x.content.score, x.semantic.score
	y.build()
	return y
}

// run starts the pipeline; it is stopped at the end of the test if not before.
func (x *plant) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- x.Run(ctx) }()
	x.stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	x.t.Cleanup(func() { _ = x.stop() })
}

// bubble runs a test in fake time: it stands still until everybody waits.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Parallel()
	synctest.Test(t, f)
}

// pass lets time go by and waits until what that brought about is done.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// trace is a complete trace of one span that ends now, of which a user asked the text.
func (x *plant) trace(text string, change ...func(*Span)) Span {
	x.traces++
	s := span(x.traces, 1, 0, time.Now().UTC().Add(-time.Second))
	s.Operation = OpChat
	s.Input = user(text)
	for _, f := range change {
		f(&s)
	}
	return s
}

func (x *plant) consume(spans ...Span) {
	x.t.Helper()
	require.NoError(x.t, x.Consume(x.t.Context(), Batch{Spans: spans}))
}

// settled is longer than it takes for a trace to be complete and judged and for its windows to close.
const settled = 3 * time.Minute

func abnormal(t *Trace) []Finding {
	f := material(ErrorRate, 1e-9)
	lead := t.Lead()
	f.TraceID, f.At, f.Spans, f.SpanID, f.Series = t.ID, t.End(), []SpanID{lead.SpanID}, lead.SpanID, lead.Series()
	f.Subject, f.Effect = Subject{SubjectService, lead.Service}, Effect{Baseline: 0.01, Current: 1, Unit: "ratio"}
	if !lead.Failed {
		f.P, f.Material = 0.5, false
	}
	return []Finding{f}
}

func failed(s *Span) { s.Failed, s.ErrorType = true, "503" }
