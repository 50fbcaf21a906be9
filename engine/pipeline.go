package engine

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
)

// Parts are what the pipeline is made of besides itself. All but Events, EventLog, Feedback, Records, Topics, Namer, Wake and Observe are
// required; Detectors and Lenses may be empty. Without an EventLog a crash forgets the events since the latest snapshot.
type Parts struct {
	Screener  Screener
	Events    EventScreener
	Workflow  []Detector // look at every complete trace; need no vectors
	Content   []Detector // look at the redacted texts of flagged and sampled traces; need no vectors
	Semantic  []Detector // look at flagged and sampled traces by the vectors of their texts
	Lenses    []Lens     // preferred first; when one fails the next stands in, and each learns
	Redactor  Redactor
	Explainer Explainer
	Journal   Journal
	Markers   MarkerLog
	Snapshots SnapshotStore
	EventLog  EventLog
	Backlog   Backlog
	Feedback  FeedbackLog // together with Records; without both nobody's word is taken
	Records   Records
	Topics    TopicWatcher
	Namer     TopicNamer // nil: topics are named by their telling words
	Registry  prometheus.Registerer
	Logger    *slog.Logger

	// Wake says that somebody takes alerts out of the outbox: they are part of the transaction that stores their incident, and Wake is
	// called after it. nil when nobody is there to receive them: then none is stored.
	Wake func()
	// Observe is told of every alert once its incident is stored, whether or not the alert itself is. It is called in order by one
	// goroutine, on which what is found next waits meanwhile.
	Observe func(Alert)
}

// Pipeline is the engine: it takes batches in as a Sink, answers as a Scorer, and runs until its context ends. See the package
// documentation for the flow.
type Pipeline struct {
	cfg    Config
	parts  Parts
	log    *slog.Logger
	m      *metrics
	health *condition

	inbox     chan delivery
	inboxLen  atomic.Int64 // spans
	semantic  chan *job
	notes     chan string  // incident ids that want a note
	noting    atomic.Int64 // those that wait and the one under way
	gate      sync.RWMutex // nothing enters the inbox once draining is set
	draining  bool         // Consume must refuse
	started   atomic.Bool
	replaying bool
	ids       *lru.Cache[string, string] // what stands for names and identities
	key       []byte                     // of pseudonyms
	lenses    []*lens                    // as in parts, guarded
	flight    flight
	aside     sync.WaitGroup // what is stored beside the stream
	saving    atomic.Bool    // a snapshot is under way to the store
	keeper    SeriesKeeper   // the screener, where it keeps its series by itself
	fetching  atomic.Bool    // series are under way from the store
	ledger    *ledger
	writer    *writer
	markers   markerBook
	caught    caughtUp
	lessons   lessons
	sampler   *sampler
	trends    *trends
	naming    atomic.Bool // topics are being named

	catchAgain time.Time // wall time until which the backlog is not asked; of the goroutine of the semantic tier

	// screening state, used by the screening goroutine alone
	assembler *assembler
	mark      watermark
	services  serviceBook
	lastFlush time.Time
	// what stood for the latest identity and name of each field that pseudonymise looks at
	latestIDs   [4]alias
	latestNames [14]alias
	eventMark   time.Time // latest watermark that the screener of events was given
	eventful    bool      // it has observed something since

	eventNumber int64         // of the latest event
	captured    time.Time     // wall time of the latest snapshot
	capturing   time.Duration // how long it held screening up

	mu      sync.Mutex // guards what follows, and orders what is handed to the writer
	digests *digests
	grouper *grouper
	alphas  *alphaBook
	surges  *surges
	held    quarantine
	ready   []heldTrace // of services that still learn, which need no quarantine
	passed  time.Time   // latest event time known here
}

type delivery struct {
	batch   Batch
	receipt *receipt
	at      time.Time
}

// job is a complete trace on its way through the semantic tier.
type job struct {
	trace    Trace
	workflow Trace // as the workflow detectors saw it: what they score they learn
	findings []Finding
	flagged  bool // not only sampled
	redacted bool
	complete time.Time   // wall time
	finish   func(error) // nil when nobody waits
}

// New checks the configuration and wires the parts. Nothing runs until Run.
func New(cfg Config, parts Parts) (*Pipeline, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	m, err := newMetrics(parts.Registry)
	if err != nil {
		return nil, fmt.Errorf("engine: register metrics: %w", err)
	}
	ids, err := lru.New[string, string](10_000)
	if err != nil {
		return nil, fmt.Errorf("engine: identity cache: %w", err)
	}
	p := &Pipeline{
		cfg: cfg, parts: parts, m: m,
		log:      parts.Logger.With("component", "engine"),
		health:   newCondition(),
		inbox:    make(chan delivery, 1024),
		semantic: make(chan *job, cfg.SemanticQueue),
		notes:    make(chan string, 64),
		ids:      ids,
		key:      make([]byte, 32),
		mark:     watermark{lateness: cfg.AllowedLateness, idle: cfg.IdleAfter},
		services: newServiceBook(cfg.Evidence.MaxServices),
		ledger:   newLedger(),
		digests:  newDigests(cfg.Evidence),
	}
	_, _ = rand.Read(p.key) // it never fails
	for _, l := range parts.Lenses {
		p.lenses = append(p.lenses, newLens(l, p.health, p.log))
	}
	p.keeper, _ = parts.Screener.(SeriesKeeper)
	p.writer = &writer{
		journal: parts.Journal, backlog: parts.Backlog, limit: cfg.StoreQueue, told: p.told, drop: p.drop, health: p.health, log: p.log,
		wake: make(chan struct{}, 1),
	}
	if p.sampler, err = newSampler(cfg.Sampling, cfg.SampleRate); err != nil {
		return nil, err
	}
	m.sampleRatio.Set(cfg.SampleRate)
	if p.trends, err = newTrends(); err != nil {
		return nil, fmt.Errorf("engine: trends: %w", err)
	}
	p.held.max = cfg.MaxHeld
	if p.surges, err = newSurges(cfg.Surges); err != nil {
		return nil, err
	}
	if p.alphas, err = newAlphaBook(cfg.Alerts, cfg.Evidence.MaxServices); err != nil {
		return nil, fmt.Errorf("engine: alerts: %w", err)
	}
	p.assembler = newAssembler(cfg.Assembly, p.drop)
	p.grouper = newGrouper(cfg.Incidents, cfg.Severity, p.digests)
	return p, nil
}

func (p *Pipeline) drop(reason string, n int) {
	p.health.drop(reason, n)
	p.m.dropped.WithLabelValues(reason).Add(float64(n))
}

// size is what a batch counts for in the queue before screening.
func (b *Batch) size() int64 { return int64(len(b.Spans) + len(b.Contents) + len(b.Events)) }

// owed reports whether somebody waits for what the batch leaves behind in memory.
func (b *Batch) owed() bool { return b.Done != nil && len(b.Spans)+len(b.Contents) > 0 }

// Consume implements Sink. It fails with CodeFull when screening has more spans waiting than the configuration allows, or as much
// waits for the store as may, and with CodeUnavailable while the pipeline stops.
func (p *Pipeline) Consume(ctx context.Context, b Batch) error {
	if p.writer.full(b.Done != nil) {
		return &Error{Code: CodeFull, Message: "the store does not take what is found, come back", RetryAfter: lastPause}
	}
	n := b.size()
	if waiting := p.inboxLen.Add(n); waiting > int64(p.cfg.QueueSpans) && waiting > n {
		p.inboxLen.Add(-n)
		return &Error{Code: CodeFull, Message: "screening is full, come back", RetryAfter: time.Second}
	}
	p.gate.RLock()
	defer p.gate.RUnlock()
	if p.draining {
		p.inboxLen.Add(-n)
		return &Error{Code: CodeUnavailable, Message: "stopping", RetryAfter: 5 * time.Second}
	}
	done := b.Done
	if b.owed() {
		done = p.ledger.open(&b)
	}
	select {
	case p.inbox <- delivery{b, newReceipt(done), time.Now()}:
		return nil
	case <-ctx.Done():
		p.inboxLen.Add(-n)
		return ctx.Err()
	default:
		p.inboxLen.Add(-n)
		return &Error{Code: CodeFull, Message: "screening is full, come back", RetryAfter: time.Second}
	}
}

// Run restores what an earlier run learnt, then works until ctx ends, and drains: what was accepted is judged and stored, the
// baselines are snapshotted. It returns the first error that stops it, nil after a clean stop.
func (p *Pipeline) Run(ctx context.Context) error {
	if !p.started.CompareAndSwap(false, true) {
		return errors.New("engine: Run called twice")
	}
	if err := p.restore(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // stopped before it had begun
		}
		return err
	}
	// Work outlives ctx by the drain: the stages stop one after the other as their input ends.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var g errgroup.Group
	g.Go(func() error {
		defer close(p.semantic)
		p.screen(ctx, work)
		return nil
	})
	analysed := make(chan struct{})
	g.Go(func() error {
		defer close(analysed)
		p.analyse(work)
		return nil
	})
	g.Go(func() error {
		p.explainAll(work, analysed)
		return nil
	})
	staged, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(staged)
		_ = g.Wait() // the stages return nil
	}()
	var left error
	go func() {
		defer close(done)
		left = p.writer.run(work, staged)
	}()
	<-ctx.Done()
	select {
	case <-done:
	case <-time.After(p.cfg.DrainTimeout):
		p.log.Warn("drain took too long, what was left is given up", "timeout", p.cfg.DrainTimeout)
		cancel()
		<-done
	}
	p.aside.Wait()
	return errors.Join(left, p.snapshot(context.WithoutCancel(ctx)))
}

// screen is the first stage: one goroutine that owns assembly and event time.
func (p *Pipeline) screen(ctx, work context.Context) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	p.captured = time.Now()
	for {
		select {
		case d := <-p.inbox:
			p.take(work, d)
		case <-tick.C:
			p.advance(work, p.mark.at(time.Now()))
			if p.snapshotDue(time.Now()) {
				p.snapshotAside(work)
			}
			p.fetchAside(work)
		case <-ctx.Done():
			p.drain(work)
			return
		}
	}
}

// drain takes what is still in the inbox and completes every open trace.
func (p *Pipeline) drain(work context.Context) {
	p.gate.Lock()
	p.draining = true
	p.gate.Unlock()
	for {
		select {
		case d := <-p.inbox:
			p.take(work, d)
			continue
		default:
		}
		break
	}
	p.completeAll(work)
}

// completeAll dispatches every open trace: none of them will get another span.
func (p *Pipeline) completeAll(ctx context.Context) {
	p.advance(ctx, p.mark.at(time.Now()))
	for _, t := range p.assembler.drain() {
		p.dispatch(ctx, t, p.mark.at(time.Now()))
	}
}

func (p *Pipeline) take(ctx context.Context, d delivery) {
	p.inboxLen.Add(-d.batch.size())
	before := progressNone
	if d.batch.owed() {
		before = p.ledger.take(d.batch.ID)
	}
	fresh := make([]Span, 0, len(d.batch.Spans))
	p.assembler.following = 0
	for i := range d.batch.Spans {
		s := &d.batch.Spans[i]
		p.pseudonymise(s)
		if !p.mark.hear(s.End, d.at) {
			// A clock that runs ahead: the span is taken to have ended as it arrived, or its windows would stay open till then.
			p.drop(dropFuture, 1)
			s.Start, s.End = d.at.Add(-s.Duration()), d.at
		}
		if p.assembler.following--; p.assembler.following < 0 {
			p.assembler.following = sameTrace(d.batch.Spans[i:]) - 1
		}
		if before != progressSettled && p.assembler.add(*s, d.receipt) && before == progressNone {
			fresh = append(fresh, *s)
		}
	}
	for _, c := range d.batch.Contents {
		if !believable(c.At, d.at) {
			c.At = d.at
		}
		if before != progressSettled {
			p.assembler.join(c, d.receipt)
		}
	}
	p.watch(d.batch.Events, d.receipt, d.at)
	if n := len(d.batch.Evaluations); n > 0 {
		p.drop(dropUnread, n)
	}
	p.parts.Screener.Observe(fresh)
	p.services.saw(fresh)
	p.m.spans.Add(float64(len(fresh)))
	if len(d.batch.Markers) > 0 {
		d.receipt.hold()
		p.aside.Go(func() { p.addMarkers(ctx, d.batch.Markers, d.receipt) })
	}
	p.advance(ctx, p.mark.at(d.at))
	if d.receipt != nil {
		p.writer.then(d.receipt.release)
	}
}

// sameTrace is with how many spans of one trace a list begins.
func sameTrace(spans []Span) int {
	n := 1
	for n < len(spans) && spans[n].TraceID == spans[0].TraceID {
		n++
	}
	return n
}

// watch gives events to their screener, without what is sensitive in them.
func (p *Pipeline) watch(events []SecurityEvent, r *receipt, at time.Time) {
	if len(events) == 0 {
		return
	}
	if p.parts.Events == nil {
		p.drop(dropUnread, len(events))
		return
	}
	for i := range events {
		e := &events[i]
		if !p.mark.hear(e.At, at) {
			p.drop(dropFuture, 1)
			e.At = at
		}
		for _, id := range []*string{&e.User, &e.APIKey} {
			*id = p.identity(*id)
		}
		for _, name := range []*string{&e.Service, &e.Type} {
			*name = p.nameOf(*name)
		}
		details := make(map[string]string, len(e.Details))
		for key, value := range e.Details {
			details[p.nameOf(key)], _ = p.parts.Redactor.Redact(value)
		}
		e.Details = details
	}
	p.logEvents(events, r)
	p.parts.Events.Observe(events)
	p.eventful = true
}

// addMarkers stores change markers beside the stream: a store that is slow delays no screening.
func (p *Pipeline) addMarkers(ctx context.Context, markers []ChangeMarker, r *receipt) {
	for i := range markers {
		m := &markers[i]
		m.Description, _ = p.parts.Redactor.Redact(m.Description)
		for _, name := range []*string{&m.Service, &m.Subject, &m.Version, &m.Previous} {
			*name = p.nameOf(*name)
		}
	}
	p.markers.add(markers)
	err := p.parts.Markers.AddMarkers(ctx, markers)
	if err != nil {
		err = fmt.Errorf("engine: store change markers: %w", err)
		p.health.failed("store", err.Error())
		p.log.Error("change markers not stored", "error", err)
	}
	r.release(err)
}

// pseudonymise keeps identities that are themselves sensitive, such as a mail address as a user id, out of baselines, sketches
// and everything behind: they become their type and a keyed hash, still the same for the same identity. The key is of this
// installation, so that a phone number cannot be found by hashing all of them.
//
// It is for the screening goroutine: of each field it remembers the latest answer, since spans in a row mostly say the same.
func (p *Pipeline) pseudonymise(s *Span) {
	ids := [...]*string{&s.User, &s.Tenant, &s.APIKey, &s.Conversation}
	names := [...]*string{
		&s.Name, &s.Service, &s.ServiceVersion, &s.Region, &s.Provider, &s.Model, &s.ResponseModel, &s.Agent.Name, &s.Agent.Version,
		&s.Tool.Name, &s.Workflow, &s.PromptName, &s.PromptVersion, &s.ErrorType,
	}
	for i, id := range ids {
		*id = p.latestIDs[i].of(*id, p.identity)
	}
	for i, name := range names {
		*name = p.latestNames[i].of(*name, p.nameOf)
	}
}

// alias is a name or identity as it came, and what stands for it.
type alias struct{ given, stand string }

// of is what stands for a name or identity: as before when it is the same again, or else what find says.
func (a *alias) of(given string, find func(string) string) string {
	if given == "" {
		return ""
	}
	if given != a.given {
		*a = alias{given, find(given)}
	}
	return a.stand
}

// identity is what stands for an identity: itself, or a pseudonym of one that is sensitive by itself.
func (p *Pipeline) identity(id string) string {
	return p.known(id, func(kind SensitiveKind, _ string) string {
		mac := hmac.New(sha256.New, p.key)
		_, _ = mac.Write([]byte(id)) // a hash takes every write
		return fmt.Sprintf("%s-%x", kind, mac.Sum(nil)[:6])
	})
}

// nameOf is what stands for a name: itself, unless it holds a key or an address, which somebody put into the wrong field. Numbers
// that look like something else are part of many names and versions.
func (p *Pipeline) nameOf(name string) string {
	return p.known(name, func(kind SensitiveKind, redacted string) string {
		if kind == SensitiveKey || kind == SensitiveEmail {
			return redacted
		}
		return name
	})
}

// known looks up what stands for a name or identity, and finds it out the first time.
func (p *Pipeline) known(id string, replace func(kind SensitiveKind, redacted string) string) string {
	if id == "" {
		return id
	}
	if stand, ok := p.ids.Get(id); ok {
		return stand
	}
	stand := id
	if redacted, found := p.parts.Redactor.Redact(id); len(found) > 0 {
		stand = replace(found[0].Kind, redacted)
	}
	p.ids.Add(id, stand)
	return stand
}

// advance closes windows, completes traces and moves incidents on, up to the watermark.
func (p *Pipeline) advance(ctx context.Context, mark time.Time) {
	if mark.IsZero() {
		return
	}
	for _, t := range p.assembler.complete(mark) {
		p.dispatch(ctx, t, mark)
	}
	p.m.queued.WithLabelValues("screening_spans").Set(float64(p.inboxLen.Load()))
	p.m.queued.WithLabelValues("semantic_traces").Set(float64(len(p.semantic)))
	p.m.queued.WithLabelValues("store_records").Set(float64(p.writer.waiting()))
	// The rest works in steps of event time: nothing in it changes faster, but for what events show.
	findings := p.advanceEvents(mark)
	settled := p.flight.settled(mark, time.Now())
	if settled.Sub(p.lastFlush) >= advanceStep {
		p.lastFlush = settled
		findings = append(findings, p.parts.Screener.Advance(settled)...)
		findings = append(findings, p.advanceTopics(settled)...)
		p.noteTrends(ctx, settled)
	} else if len(findings) == 0 {
		return
	}
	p.windows(findings, p.lastFlush)
}

// advanceEvents is what events show: asked for when there are new ones, and in steps.
func (p *Pipeline) advanceEvents(mark time.Time) []Finding {
	if p.parts.Events == nil || !p.eventful && mark.Sub(p.eventMark) < advanceStep {
		return nil
	}
	p.eventful = false
	if mark.After(p.eventMark) {
		p.eventMark = mark
	}
	findings := p.parts.Events.Advance(p.eventMark)
	for i := range findings {
		findings[i].Excerpt, _ = p.parts.Redactor.Redact(findings[i].Excerpt)
	}
	return findings
}

// advanceStep is the least event time between two looks at windows and incidents.
const advanceStep = 5 * time.Second

// dispatch decides which way a complete trace goes.
func (p *Pipeline) dispatch(ctx context.Context, a *assembly, mark time.Time) {
	if len(a.spans) == 0 {
		a.release(nil)
		return
	}
	t := NewTrace(a.id, a.spans)
	t.Late = a.late
	if p.parts.Events != nil {
		p.parts.Events.Answered(&t)
	}
	j := &job{trace: t, workflow: t, complete: time.Now(), finish: a.handOver()}
	j.findings = p.parts.Screener.Score(&t)
	remarkable := flagged(j.findings, p.cfg.FlagBelow)
	if !remarkable {
		for i := range t.Spans {
			if t.Spans[i].Failed {
				remarkable = true
				break
			}
		}
	}
	workflow, err := p.ask(ctx, p.parts.Workflow, Observation{Trace: &t})
	if err != nil {
		p.log.Error("workflow detector failed", "error", err)
	}
	j.findings = append(j.findings, workflow...)
	remarkable = remarkable || flagged(workflow, p.cfg.FlagBelow)
	if !remarkable && !p.sampled(&t) {
		p.m.traces.WithLabelValues(wayQuiet).Inc()
		p.settle(j, nil)
		return
	}
	j.flagged = remarkable
	p.flight.leave(mark, j.complete)
	select {
	case p.semantic <- j:
		if remarkable {
			p.m.traces.WithLabelValues(wayFlagged).Inc()
		} else {
			p.m.traces.WithLabelValues(waySampled).Inc()
		}
		return
	default:
		p.flight.cancel()
	}
	if !remarkable {
		p.drop(dropSampled, 1)
		p.settle(j, nil)
		return
	}
	p.m.traces.WithLabelValues(wayDeferred).Inc()
	j.trace, _ = redactTrace(j.trace, p.parts.Redactor)
	p.writer.add(&write{deferred: &Deferred{Trace: j.trace, Findings: j.findings}, done: j.finish})
}

// sampled reports whether a trace that nothing flagged is looked at all the same.
func (p *Pipeline) sampled(t *Trace) bool {
	now, wanted := p.sampler.chosen(t, p.services.young(t.Lead().Service))
	if wanted && !now {
		p.drop(dropBudget, 1)
	}
	return now
}

// ask asks the detectors one after the other. A detector that fails is left out of the verdict; its error is returned.
func (p *Pipeline) ask(ctx context.Context, detectors []Detector, o Observation) ([]Finding, error) {
	out := make([]Finding, 0, len(detectors))
	var errs []error
	for _, d := range detectors {
		findings, err := d.Score(ctx, o)
		if err != nil {
			errs = append(errs, fmt.Errorf("engine: detector %s: %w", d.Name(), err))
			continue
		}
		out = append(out, findings...)
	}
	return out, errors.Join(errs...)
}

// settle judges a trace that goes no further, hands what it leaves behind to the writer, and holds it for the detectors to learn from.
func (p *Pipeline) settle(j *job, observations []Observation) {
	service := j.trace.Lead().Service
	complete, finish := j.complete, j.finish // the trace itself must not wait for the store
	stored := func(err error) {
		p.m.latency.Observe(time.Since(complete).Seconds())
		if finish != nil {
			finish(err)
		}
	}
	p.lessons.raise(j.findings)
	p.watchTopics(j, observations)
	p.mu.Lock()
	v := judge(j.trace.ID, j.findings, p.alphas.of(service).Value(), p.cfg.Severity)
	if !j.trace.Late {
		for i := range j.findings {
			if !screened(&j.findings[i]) {
				p.surges.add(&j.findings[i])
			}
		}
	}
	filed := p.record(j, v, observations, stored)
	// What is anomalous is never learnt; late parts of a trace teach nothing, since the trace did already.
	if !v.Anomalous && !j.trace.Late {
		h := hold(j, observations)
		if stillLearning(j.findings) {
			p.sampler.look(j.trace.Lead().Series(), h.at)
			p.ready = append(p.ready, h)
		} else {
			p.held.add(h)
		}
		p.pass(h.at)
	}
	p.mu.Unlock()
	switch {
	case filed:
	case finish == nil:
		stored(nil)
	default: // it is not said to be done before what was found earlier is stored
		p.writer.then(stored)
	}
}

// stillLearning reports whether a semantic or workflow detector has not seen enough to judge: then there is nothing to protect, and
// holding the trace back would only delay it. What judges answers does not count: where little is retrieved or answered it learns for
// long, and must not keep the others unprotected.
func stillLearning(findings []Finding) bool {
	return slices.ContainsFunc(findings, func(f Finding) bool { return f.Learning && !screened(&f) && !ofAnswers(&f) })
}

// ofAnswers reports whether a finding is about what a model answered, or what it was given to answer from.
func ofAnswers(f *Finding) bool {
	switch f.Type {
	case UngroundedResponse, RetrievalIrrelevant, PIIExposure, SecurityPattern, ModelRegression:
		return true
	}
	return false
}

// screened reports whether a finding is of the statistical tier, which watches its own windows.
func screened(f *Finding) bool {
	switch f.Type {
	case LatencySpike, ErrorRate, TokenAbuse, CostOverrun:
		return true
	}
	return false
}

// pass moves the time that quarantine goes by. p.mu is held.
func (p *Pipeline) pass(at time.Time) {
	if at.After(p.passed) {
		p.passed = at
	}
}

// learnCalm teaches the detectors what has come out of quarantine. It is for the goroutine of the semantic tier: a memory that is slow
// to write delays no screening.
func (p *Pipeline) learnCalm(ctx context.Context) {
	p.mu.Lock()
	free := slices.Concat(p.ready, p.release(p.passed.Add(-p.cfg.HoldBack)))
	p.ready = nil
	p.mu.Unlock()
	p.learn(ctx, free)
}

// release takes out of quarantine what came in calm time. p.mu is held.
func (p *Pipeline) release(until time.Time) []heldTrace {
	free := p.held.release(until)
	return slices.DeleteFunc(free, func(h heldTrace) bool {
		return slices.ContainsFunc(h.findings, func(f Finding) bool {
			return !f.Learning && f.Material && f.P < doubtful && p.surges.during(&f, p.cfg.HoldBack)
		})
	})
}

// doubtful is the p-value below which a trace is not learnt from while there is a surge: part of it may look half normal.
const doubtful = 0.5

// learn teaches the detectors what the engine holds to be normal.
func (p *Pipeline) learn(ctx context.Context, free []heldTrace) {
	for _, h := range free {
		for _, d := range slices.Concat(p.parts.Workflow, p.parts.Content) {
			if err := d.Learn(ctx, Observation{Trace: &h.workflow, Findings: h.findings}); err != nil {
				p.log.Error("detector did not learn", "detector", d.Name(), "error", err)
			}
		}
		for _, o := range h.observations {
			learnt := true
			for _, d := range p.parts.Semantic {
				if err := d.Learn(ctx, o); err != nil {
					learnt = false
					p.log.Error("detector did not learn", "detector", d.Name(), "pair", o.Pair(), "error", err)
				}
			}
			if !learnt {
				p.drop(dropUnlearnt, 1)
			}
		}
	}
}

// record keeps the digest of a judged trace and, when it is anomalous, takes it into its incident: then it reports so, and stored is
// called once that is stored. p.mu is held.
func (p *Pipeline) record(j *job, v Verdict, observations []Observation, stored func(error)) (filed bool) {
	d := newDigest(&j.trace, j.findings)
	d.learnt = !v.Anomalous
	if len(observations) > 0 {
		for _, t := range observations[0].Texts {
			if t.Kind == TextUserPrompt && t.Chunk == 0 { // the newest prompt comes last
				d.prompt = excerpt(t.Text, p.cfg.Evidence.ExcerptBytes)
			}
		}
	}
	service := j.trace.Lead().Service
	if !j.trace.Late {
		p.digests.add(service, d)
	}
	if !v.Anomalous {
		return false
	}
	lead := v.lead()
	a := Anomaly{
		ID: "trace-" + v.TraceID.String(), Type: v.Type, Severity: v.Severity, Service: service, Series: lead.Series,
		Subject: lead.Subject, At: j.trace.End(), Score: v.Score, P: v.P, Alpha: v.Alpha, Effect: lead.Effect,
		TraceID: v.TraceID, SpanID: lead.SpanID, Reason: v.Reason, Nearest: lead.Nearest, Known: lead.Known, Shares: v.Contributions,
		Excerpt: excerpt(lead.Excerpt, p.cfg.Evidence.ExcerptBytes),
	}
	if a.Subject.Kind == "" {
		a.Subject = Subject{SubjectService, service}
	}
	if j.trace.Late {
		// An amendment stands beside what was said of the trace, and never alerts for it again.
		a.ID += "-late"
		if x, ok := p.grouper.groups[fingerprint(a.Type, a.Subject)]; ok {
			if _, counted := x.traces[v.TraceID]; counted {
				return false
			}
		}
	}
	p.file([]Anomaly{a}, stored)
	return true
}

// windows files what closed windows show and moves incidents on.
func (p *Pipeline) windows(findings []Finding, mark time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// Traces are judged a little after their last span: their windows close as much later.
	findings = append(findings, p.surges.advance(mark.Add(-p.cfg.Assembly.QuietAfterRoot))...)
	p.lessons.raise(findings)
	var anomalies []Anomaly
	for _, f := range findings {
		if f.Learning || !f.Material {
			continue
		}
		if f.P < notCalm {
			p.sampler.look(f.Series, f.At)
		}
		alpha := p.alphas.of(f.Series.Service).Value()
		v := judge(f.TraceID, []Finding{f}, alpha, p.cfg.Severity)
		if !v.Anomalous {
			continue
		}
		anomalies = append(anomalies, Anomaly{
			ID:   fmt.Sprintf("window-%s-%s-%s:%s-%d", f.Detector, f.Series, f.Subject.Kind, f.Subject.Value, f.At.Unix()),
			Type: f.Type, Severity: v.Severity, Service: f.Series.Service, Series: f.Series, Subject: f.Subject, At: f.At,
			Window: f.Window, Score: v.Score, P: v.P, Alpha: alpha, Effect: f.Effect, Traces: f.Traces, Reason: f.Reason,
			Excerpt: excerpt(f.Excerpt, p.cfg.Evidence.ExcerptBytes), Nearest: f.Nearest, Known: f.Known, SpanID: f.SpanID, TraceID: f.TraceID,
		})
	}
	p.file(anomalies, nil)
	changed := p.grouper.advance(mark, time.Now())
	p.alphas.tick(mark)
	p.pass(mark)
	for _, service := range p.alphas.levels.Keys() {
		p.m.alpha.WithLabelValues(service).Set(p.alphas.value(service))
	}
	p.publish(changed)
}

// file takes anomalies into their groups and hands them to the writer; stored is called once they are, nil when nobody waits. p.mu is
// held.
func (p *Pipeline) file(anomalies []Anomaly, stored func(error)) {
	if len(anomalies) == 0 {
		return
	}
	w := &write{entry: Entry{Anomalies: anomalies}, done: stored}
	var touched []*group
	for i := range anomalies {
		a := &anomalies[i]
		x := p.grouper.add(a)
		p.m.anomalies.WithLabelValues(string(a.Severity)).Inc()
		if p.cfg.Alerts.Anomalies {
			w.alerts = append(w.alerts, a.alert(time.Now().UTC()))
		}
		if !x.opened {
			continue
		}
		if x.incident.Anomalies >= 2*x.gathered {
			p.gather(x)
		}
		if !slices.Contains(touched, x) {
			touched = append(touched, x)
		}
	}
	for _, x := range touched {
		p.tell(w, x)
		w.entry.Incidents = append(w.entry.Incidents, x.incident)
	}
	p.submit(w)
}

// publish stores incidents that changed by themselves, and their alerts with them. p.mu is held.
func (p *Pipeline) publish(changed []*group) {
	for _, x := range changed {
		if x.incident.Status != StatusResolved {
			p.gather(x)
		}
		w := &write{entry: Entry{Anomalies: x.pending}}
		x.pending = nil
		p.tell(w, x)
		w.entry.Incidents = []Incident{x.incident}
		p.submit(w)
	}
}

// tell adds an alert of what is new about an incident. It comes before the incident is stored, which counts its alerts. p.mu is held.
func (p *Pipeline) tell(w *write, x *group) {
	latest, fresh := x.news()
	if !fresh {
		return
	}
	in := &x.incident
	x.told = latest
	w.alerts = append(w.alerts, in.changed(latest.Event, time.Now().UTC()))
	p.grouper.keep(in)
	p.m.incidents.WithLabelValues(latest.Event).Inc()
	p.log.Info("incident", "event", latest.Event, "incident", in.ID, "type", in.Type, "severity", in.Severity, "title", in.Title)
	if latest.Event == ChangeRaised || latest.Event == ChangeRaisedAgain {
		for _, s := range in.Services {
			p.alphas.alerted(s, in.LastSeen)
		}
	}
}

// submit hands w to the writer: with its alerts, where somebody receives them.
func (p *Pipeline) submit(w *write) {
	if p.parts.Wake != nil {
		w.entry.Alerts = w.alerts
	}
	p.writer.add(w)
}

// told says that alerts are stored.
func (p *Pipeline) told(alerts []Alert) {
	if p.parts.Observe != nil {
		for _, a := range alerts {
			p.parts.Observe(a)
		}
	}
	if p.parts.Wake != nil {
		p.parts.Wake()
	}
}

// gather renews the evidence of an incident and asks for a note when it says something new. p.mu is held.
func (p *Pipeline) gather(x *group) {
	in := &x.incident
	if !p.renew(x) && in.Explanation != nil {
		return
	}
	p.noting.Add(1)
	select {
	case p.notes <- in.ID:
	default:
		p.noting.Add(-1)
		p.drop(dropExplanation, 1)
	}
}

// renew gathers the evidence of an incident and reports whether it says something new. p.mu is held.
func (p *Pipeline) renew(x *group) bool {
	in := &x.incident
	ev := p.digests.gather(x, p.markers.between(p.changesNear(x)))
	ev.Similar = append(p.similar(in), x.recalled...)
	ev.Digest = evidenceDigest(ev)
	x.gathered = in.Anomalies
	fresh := in.Evidence == nil || in.Evidence.Digest != ev.Digest
	in.Evidence = &ev
	return fresh
}

// changesNear is the time whose change markers are evidence.
func (p *Pipeline) changesNear(x *group) (from, to time.Time) {
	return x.since.Add(-p.cfg.Evidence.MarkersBefore), x.incident.LastSeen
}

// similar lists earlier incidents with the same fingerprint or of the same type in the same services, the nearest first.
func (p *Pipeline) similar(in *Incident) []PastIncident {
	var out []PastIncident
	for _, past := range p.grouper.resolved {
		if past.ID == in.ID || past.Type != in.Type {
			continue
		}
		similarity := 0.0
		if past.Fingerprint == in.Fingerprint {
			similarity = 1
		} else {
			similarity = jaccard(past.Services, in.Services)
		}
		if similarity < 0.5 {
			continue
		}
		x := PastIncident{ID: past.ID, Title: past.Title, At: past.Onset, Similarity: similarity}
		if e := past.Explanation; e != nil && len(e.Hypotheses) > 0 {
			x.Cause = e.Hypotheses[0].Cause.Kind + " " + e.Hypotheses[0].Cause.Value
		}
		x.Resolution = past.Timeline[len(past.Timeline)-1].Note
		out = append(out, x)
	}
	slices.SortFunc(out, func(a, b PastIncident) int {
		return cmp.Or(cmp.Compare(b.Similarity, a.Similarity), b.At.Compare(a.At))
	})
	return out[:min(3, len(out))]
}

func jaccard(a, b []string) float64 {
	both := 0
	for _, x := range a {
		if slices.Contains(b, x) {
			both++
		}
	}
	return float64(both) / float64(max(1, len(a)+len(b)-both))
}
