package engine

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
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

// Parts are what the pipeline is made of besides itself. All but Notify are required; Detectors and Lenses may be empty.
type Parts struct {
	Screener  Screener
	Workflow  []Detector // look at every complete trace; need no vectors
	Semantic  []Detector // look at flagged and sampled traces
	Lenses    []Lens     // preferred first; the last stands in when the others fail, and each learns
	Redactor  Redactor
	Explainer Explainer
	Notify    Notifier
	Journal   Journal
	Markers   MarkerLog
	Snapshots SnapshotStore
	Backlog   Backlog
	Registry  prometheus.Registerer
	Logger    *slog.Logger
}

// Lens is an embedder with the memory that holds its vectors, and the kinds of text it is used for.
type Lens struct {
	Embedder Embedder
	Memory   Memory
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
	lensDown  []time.Time                // wall time until which a failing lens is not asked
	lensMu    sync.Mutex
	flight    flight
	aside     sync.WaitGroup // what is stored beside the stream
	lastFlush time.Time

	// screening state, used by the screening goroutine alone
	assembler *assembler
	mark      watermark
	services  serviceBook

	mu      sync.Mutex // guards what follows, and orders what is written to the journal
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
	redacted bool
	complete time.Time // wall time
	finish   func(error)
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
		lensDown: make([]time.Time, len(parts.Lenses)),
		mark:     watermark{lateness: cfg.AllowedLateness, idle: cfg.IdleAfter},
		services: newServiceBook(cfg.Evidence.MaxServices),
		digests:  newDigests(cfg.Evidence),
	}
	_, _ = rand.Read(p.key) // it never fails
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
func (b *Batch) size() int64 { return int64(len(b.Spans) + len(b.Contents)) }

// Consume implements Sink. It fails with CodeFull when screening has more spans waiting than the configuration allows, and with
// CodeUnavailable while the pipeline stops.
func (p *Pipeline) Consume(ctx context.Context, b Batch) error {
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
	select {
	case p.inbox <- delivery{b, newReceipt(b.Done), time.Now()}:
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
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = g.Wait() // the stages return nil
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
	return p.snapshot(context.WithoutCancel(ctx))
}

// screen is the first stage: one goroutine that owns assembly and event time.
func (p *Pipeline) screen(ctx, work context.Context) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	save := time.NewTicker(p.cfg.SnapshotEvery)
	defer save.Stop()
	for {
		select {
		case d := <-p.inbox:
			p.take(work, d)
		case <-tick.C:
			p.advance(work, p.mark.at(time.Now()))
		case <-save.C:
			if err := p.snapshot(work); err != nil {
				p.health.failed("snapshots", err.Error())
				p.log.Error("baselines not stored", "error", err)
			} else {
				p.health.worked("snapshots")
			}
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
	fresh := make([]Span, 0, len(d.batch.Spans))
	for _, s := range d.batch.Spans {
		p.pseudonymise(&s)
		if !p.mark.hear(s.End, d.at) {
			// A clock that runs ahead: the span is taken to have ended as it arrived, or its windows would stay open till then.
			p.drop(dropFuture, 1)
			s.Start, s.End = d.at.Add(-s.Duration()), d.at
		}
		if p.assembler.add(s, d.receipt) {
			fresh = append(fresh, s)
		}
	}
	for _, c := range d.batch.Contents {
		if !believable(c.At, d.at) {
			c.At = d.at
		}
		p.assembler.join(c, d.receipt)
	}
	if n := len(d.batch.Events) + len(d.batch.Evaluations); n > 0 {
		p.drop(dropUnread, n)
	}
	p.parts.Screener.Observe(fresh)
	p.services.saw(fresh)
	p.m.spans.Add(float64(len(fresh)))
	if len(d.batch.Markers) > 0 {
		d.receipt.hold()
		p.aside.Go(func() { p.addMarkers(ctx, d.batch.Markers, d.receipt) })
	}
	d.receipt.release(nil)
	p.advance(ctx, p.mark.at(d.at))
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
	err := p.parts.Markers.AddMarkers(ctx, markers)
	if err != nil {
		err = fmt.Errorf("engine: store change markers: %w", err)
		p.health.failed("store", err.Error())
		p.log.Error("change markers not stored", "error", err)
	} else {
		p.health.worked("store")
	}
	r.release(err)
}

// pseudonymise keeps identities that are themselves sensitive, such as a mail address as a user id, out of baselines, sketches
// and everything behind: they become their type and a keyed hash, still the same for the same identity. The key is of this
// installation, so that a phone number cannot be found by hashing all of them.
func (p *Pipeline) pseudonymise(s *Span) {
	for _, id := range []*string{&s.User, &s.Tenant, &s.APIKey, &s.Conversation} {
		*id = p.known(*id, func(kind SensitiveKind, _ string) string {
			mac := hmac.New(sha256.New, p.key)
			_, _ = mac.Write([]byte(*id)) // a hash takes every write
			return fmt.Sprintf("%s-%x", kind, mac.Sum(nil)[:6])
		})
	}
	for _, name := range []*string{
		&s.Name, &s.Service, &s.ServiceVersion, &s.Region, &s.Provider, &s.Model, &s.ResponseModel, &s.Agent.Name, &s.Agent.Version,
		&s.Tool.Name, &s.Workflow, &s.PromptName, &s.PromptVersion, &s.ErrorType,
	} {
		*name = p.nameOf(*name)
	}
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
	// The rest works in steps of event time: nothing in it changes faster.
	settled := p.flight.settled(mark, time.Now())
	if settled.Sub(p.lastFlush) < advanceStep {
		return
	}
	p.lastFlush = settled
	p.windows(ctx, p.parts.Screener.Advance(settled), settled)
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
	j := &job{trace: t, workflow: t, complete: time.Now(), finish: a.release}
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
	sampled := p.sampled(&t)
	if !remarkable && !sampled {
		p.m.traces.WithLabelValues(wayQuiet).Inc()
		p.settle(ctx, j, nil)
		return
	}
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
		p.settle(ctx, j, nil)
		return
	}
	p.m.traces.WithLabelValues(wayDeferred).Inc()
	j.trace, _ = redactTrace(j.trace, p.parts.Redactor)
	err = p.parts.Backlog.Defer(ctx, Deferred{Trace: j.trace, Findings: j.findings})
	if err != nil {
		err = fmt.Errorf("engine: defer trace %s: %w", j.trace.ID, err)
		p.drop(dropUnstored, 1)
		p.log.Error("flagged trace not stored", "error", err)
	}
	j.finish(err)
}

// sampled is a consistent-probability sample by trace id: every instance and every run chooses the same traces.
func (p *Pipeline) sampled(t *Trace) bool {
	if p.services.young(t.Lead().Service) {
		return true
	}
	sum := sha256.Sum256(t.ID[:]) // ids need not be random
	return float64(binary.BigEndian.Uint64(sum[:])>>11)/float64(1<<53) < p.cfg.SampleRate
}

// ask asks the detectors one after the other. A detector that fails is left out of the verdict; its error is returned.
func (p *Pipeline) ask(ctx context.Context, detectors []Detector, o Observation) ([]Finding, error) {
	var out []Finding
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

// settle judges a trace that goes no further, stores what it leaves behind, and holds it for the detectors to learn from.
func (p *Pipeline) settle(ctx context.Context, j *job, observations []Observation) {
	service := j.trace.Lead().Service
	p.mu.Lock()
	v := judge(j.trace.ID, j.findings, p.alphas.of(service).Value(), p.cfg.Severity)
	if !j.trace.Late {
		for i := range j.findings {
			if !screened(&j.findings[i]) {
				p.surges.add(&j.findings[i])
			}
		}
	}
	err := p.record(ctx, j, v, observations)
	// What is anomalous is never learnt; late parts of a trace teach nothing, since the trace did already.
	if !v.Anomalous && !j.trace.Late {
		h := hold(j, observations)
		if stillLearning(j.findings) {
			p.ready = append(p.ready, h)
		} else {
			p.held.add(h)
		}
		p.pass(h.at)
	}
	p.mu.Unlock()
	p.m.latency.Observe(time.Since(j.complete).Seconds())
	j.finish(err)
}

// stillLearning reports whether a semantic or workflow detector has not seen enough to judge: then there is nothing to protect, and
// holding the trace back would only delay it.
func stillLearning(findings []Finding) bool {
	return slices.ContainsFunc(findings, func(f Finding) bool { return f.Learning && !screened(&f) })
}

// screened reports whether a finding is of the statistical tier, which watches its own windows.
func screened(f *Finding) bool {
	switch f.Type {
	case LatencySpike, ErrorRate, TokenAbuse:
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
		for _, d := range p.parts.Workflow {
			if err := d.Learn(ctx, Observation{Trace: &h.workflow}); err != nil {
				p.log.Error("detector did not learn", "detector", d.Name(), "error", err)
			}
		}
		for _, o := range h.observations {
			for _, d := range p.parts.Semantic {
				if err := d.Learn(ctx, o); err != nil {
					p.health.failed("memory", err.Error())
					p.log.Error("detector did not learn", "detector", d.Name(), "error", err)
				}
			}
		}
	}
}

// record keeps the digest of a judged trace and, when it is anomalous, takes it into its incident. p.mu is held.
func (p *Pipeline) record(ctx context.Context, j *job, v Verdict, observations []Observation) error {
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
		return nil
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
				return nil
			}
		}
	}
	return p.file(ctx, []Anomaly{a})
}

// windows files what closed windows show and moves incidents on.
func (p *Pipeline) windows(ctx context.Context, findings []Finding, mark time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// Traces are judged a little after their last span: their windows close as much later.
	findings = append(findings, p.surges.advance(mark.Add(-p.cfg.Assembly.QuietAfterRoot))...)
	var anomalies []Anomaly
	for _, f := range findings {
		if f.Learning || !f.Material {
			continue
		}
		alpha := p.alphas.of(f.Series.Service).Value()
		v := judge(f.TraceID, []Finding{f}, alpha, p.cfg.Severity)
		if !v.Anomalous {
			continue
		}
		anomalies = append(anomalies, Anomaly{
			ID:   fmt.Sprintf("window-%s-%s-%s-%d", f.Detector, f.Series, f.Subject.Value, f.At.Unix()),
			Type: f.Type, Severity: v.Severity, Service: f.Series.Service, Series: f.Series, Subject: f.Subject, At: f.At,
			Window: f.Window, Score: v.Score, P: v.P, Alpha: alpha, Effect: f.Effect, Traces: f.Traces, Reason: f.Reason,
			Excerpt: excerpt(f.Excerpt, p.cfg.Evidence.ExcerptBytes), Nearest: f.Nearest, Known: f.Known, SpanID: f.SpanID, TraceID: f.TraceID,
		})
	}
	if err := p.file(ctx, anomalies); err != nil {
		p.log.Error("anomalies of windows not stored", "error", err)
	}
	changed := p.grouper.advance(mark, time.Now())
	p.alphas.tick(mark)
	p.pass(mark)
	for _, service := range p.alphas.levels.Keys() {
		p.m.alpha.WithLabelValues(service).Set(p.alphas.value(service))
	}
	p.publish(ctx, changed)
}

// file takes anomalies into their groups and stores them. p.mu is held.
func (p *Pipeline) file(ctx context.Context, anomalies []Anomaly) error {
	if len(anomalies) == 0 {
		return nil
	}
	entry := Entry{}
	for i := range anomalies {
		a := &anomalies[i]
		x := p.grouper.add(a)
		p.m.anomalies.WithLabelValues(string(a.Severity)).Inc()
		if !x.opened {
			continue
		}
		if x.incident.Anomalies >= 2*x.gathered {
			p.gather(ctx, x)
		}
		at := slices.IndexFunc(entry.Incidents, func(in Incident) bool { return in.ID == x.incident.ID })
		if at < 0 {
			entry.Incidents = append(entry.Incidents, x.incident)
		} else {
			entry.Incidents[at] = x.incident
		}
	}
	entry.Anomalies = anomalies
	return p.store(ctx, entry)
}

// publish stores incidents that changed by themselves and tells of them. What cannot be stored is not told, and tried again with the
// next change. p.mu is held.
func (p *Pipeline) publish(ctx context.Context, changed []*group) {
	for _, x := range changed {
		in := &x.incident
		if in.Status != StatusResolved {
			p.gather(ctx, x)
		}
		if err := p.store(ctx, Entry{Anomalies: x.pending, Incidents: []Incident{*in}}); err != nil {
			p.log.Error("incident not stored", "incident", in.ID, "error", err)
			p.grouper.pushed = append(p.grouper.pushed, x)
			continue
		}
		x.pending = nil
		latest, fresh := x.news()
		if !fresh {
			continue
		}
		x.told = latest
		p.m.incidents.WithLabelValues(latest.Event).Inc()
		p.log.Info("incident", "event", latest.Event, "incident", in.ID, "type", in.Type, "severity", in.Severity, "title", in.Title)
		if latest.Event == "raised" || latest.Event == "raised again" {
			for _, s := range in.Services {
				p.alphas.alerted(s, in.LastSeen)
			}
		}
		p.tell(ctx, latest.Event, latest.Event, *in)
	}
}

// tell hands an alert to the notifier. what makes its id unique among the changes of one raise of the incident.
func (p *Pipeline) tell(ctx context.Context, what, change string, in Incident) {
	if p.parts.Notify == nil {
		return
	}
	id := fmt.Sprintf("%s-%d-%s", in.ID, in.Raised, what)
	if err := p.parts.Notify.Notify(ctx, Alert{ID: id, Change: change, Incident: in}); err != nil {
		p.health.failed("notify", err.Error())
		p.log.Error("alert not delivered", "alert", id, "error", err)
		return
	}
	p.health.worked("notify")
}

// gather renews the evidence of an incident and asks for a note when it says something new. p.mu is held.
func (p *Pipeline) gather(ctx context.Context, x *group) {
	in := &x.incident
	markers, err := p.parts.Markers.Markers(ctx, x.since.Add(-p.cfg.Evidence.MarkersBefore), in.LastSeen.Add(time.Nanosecond))
	if err != nil {
		p.log.Error("change markers not read", "incident", in.ID, "error", err)
	}
	ev := p.digests.gather(x, markers)
	ev.Similar = p.similar(in)
	ev.Digest = evidenceDigest(ev)
	x.gathered = in.Anomalies
	fresh := in.Evidence == nil || in.Evidence.Digest != ev.Digest
	in.Evidence = &ev
	if !fresh && in.Explanation != nil {
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

// store writes to the journal, and again a few times when that fails.
func (p *Pipeline) store(ctx context.Context, e Entry) error {
	const attempts = 4
	var err error
	for attempt := range attempts {
		if err = p.parts.Journal.Record(ctx, e); err == nil {
			p.health.worked("store")
			return nil
		}
		code := ErrorCode(err)
		if attempt == attempts-1 || IsPermanent(err) || code == CodeInvalid || code == CodeTooLarge || ctx.Err() != nil {
			break
		}
		time.Sleep(time.Duration(1<<attempt) * 25 * time.Millisecond)
	}
	p.health.failed("store", err.Error())
	p.drop(dropUnstored, len(e.Anomalies)+len(e.Incidents))
	return fmt.Errorf("engine: record: %w", err)
}
