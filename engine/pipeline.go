package engine

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math"
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
	gate      sync.RWMutex // nothing enters the inbox once draining is set
	draining  bool         // Consume must refuse
	started   atomic.Bool
	ids       *lru.Cache[string, string]
	lensDown  []time.Time // wall time until which a failing lens is not asked
	lensMu    sync.Mutex
	flight    flight
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
}

type delivery struct {
	batch   Batch
	receipt *receipt
	at      time.Time
}

// job is a complete trace on its way through the semantic tier.
type job struct {
	trace    Trace
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
		lensDown: make([]time.Time, len(parts.Lenses)),
		mark:     watermark{lateness: cfg.AllowedLateness, idle: cfg.IdleAfter},
		services: newServiceBook(cfg.Evidence.MaxServices),
		digests:  newDigests(cfg.Evidence),
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

// Consume implements Sink. It fails with CodeFull when screening has more spans waiting than the configuration allows, and with
// CodeUnavailable while the pipeline stops.
func (p *Pipeline) Consume(ctx context.Context, b Batch) error {
	n := int64(len(b.Spans))
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
	g.Go(func() error {
		defer close(p.notes)
		p.analyse(work)
		return nil
	})
	g.Go(func() error {
		p.explainAll(work)
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
	p.learn(context.WithoutCancel(ctx), p.releaseAll())
	return p.snapshot(context.WithoutCancel(ctx))
}

// Settle ends open windows and teaches what is still held back, as if calm time had passed. It is for offline use: after Run has
// returned, and before Score is asked about other traces.
func (p *Pipeline) Settle(ctx context.Context) {
	p.parts.Screener.Advance(p.mark.latest.Add(24 * time.Hour))
	p.learn(ctx, p.releaseAll())
}

func (p *Pipeline) releaseAll() []heldTrace {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.release(p.mark.latest.Add(24 * time.Hour))
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
	p.advance(work, p.mark.at(time.Now()))
	for _, t := range p.assembler.drain() {
		p.dispatch(work, t, p.mark.at(time.Now()))
	}
}

func (p *Pipeline) take(ctx context.Context, d delivery) {
	p.inboxLen.Add(-int64(len(d.batch.Spans)))
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
	var err error
	if len(d.batch.Markers) > 0 {
		for i := range d.batch.Markers {
			m := &d.batch.Markers[i]
			m.Description, _ = p.parts.Redactor.Redact(m.Description)
		}
		if err = p.parts.Markers.AddMarkers(ctx, d.batch.Markers); err != nil {
			err = fmt.Errorf("engine: store change markers: %w", err)
			p.log.Error("change markers not stored", "error", err)
		}
	}
	d.receipt.release(err)
	p.advance(ctx, p.mark.at(d.at))
}

// pseudonymise keeps identities that are themselves sensitive, such as a mail address as a user id, out of baselines, sketches
// and everything behind: they become their type and a short hash, still the same for the same identity.
func (p *Pipeline) pseudonymise(s *Span) {
	for _, id := range []*string{&s.User, &s.Tenant, &s.APIKey, &s.Conversation, &s.Name} {
		if *id == "" {
			continue
		}
		known, ok := p.ids.Get(*id)
		if !ok {
			known = *id
			if _, found := p.parts.Redactor.Redact(*id); len(found) > 0 {
				h := fnv.New64a()
				_, _ = h.Write([]byte(*id)) // a hash takes every write
				known = fmt.Sprintf("%s-%012x", found[0].Kind, h.Sum64()&0xffffffffffff)
			}
			p.ids.Add(*id, known)
		}
		*id = known
	}
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
	j := &job{trace: t, complete: time.Now(), finish: a.release}
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
	workflow, err := p.run(ctx, p.parts.Workflow, Observation{Trace: &t})
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

// run asks the detectors one after the other. A detector that fails is left out of the verdict; its error is returned.
func (p *Pipeline) run(ctx context.Context, detectors []Detector, o Observation) ([]Finding, error) {
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
	var free []heldTrace
	// What is anomalous is never learnt; late parts of a trace teach nothing, since the trace did already.
	if !v.Anomalous && !j.trace.Late {
		h := heldTrace{j, observations, j.trace.End()}
		if stillLearning(j.findings) {
			free = append(free, h)
		} else {
			p.held.add(h)
		}
		free = append(free, p.release(h.at.Add(-p.cfg.HoldBack))...)
	}
	p.mu.Unlock()
	p.learn(ctx, free)
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

// release takes out of quarantine what came in calm time. p.mu is held.
func (p *Pipeline) release(until time.Time) []heldTrace {
	free := p.held.release(until)
	return slices.DeleteFunc(free, func(h heldTrace) bool {
		return slices.ContainsFunc(h.job.findings, func(f Finding) bool {
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
			if err := d.Learn(ctx, Observation{Trace: &h.job.trace}); err != nil {
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
			if t.Kind == TextUserPrompt {
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
	for service, a := range p.alphas.levels {
		p.m.alpha.WithLabelValues(service).Set(a.Value())
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

// publish stores incidents that changed by themselves and tells of them. p.mu is held.
func (p *Pipeline) publish(ctx context.Context, changed []*group) {
	for _, x := range changed {
		in := &x.incident
		event, news := x.news()
		if in.Status != StatusResolved {
			p.gather(ctx, x)
		}
		if err := p.store(ctx, Entry{Anomalies: x.pending, Incidents: []Incident{*in}}); err != nil {
			p.log.Error("incident not stored", "incident", in.ID, "error", err)
		}
		x.pending = nil
		if !news {
			continue
		}
		p.m.incidents.WithLabelValues(event).Inc()
		p.log.Info("incident", "event", event, "incident", in.ID, "type", in.Type, "severity", in.Severity, "title", in.Title)
		if event == "raised" || event == "raised again" {
			for _, s := range in.Services {
				p.alphas.alerted(s, in.LastSeen)
			}
		}
		p.tell(ctx, event, *in)
	}
}

func (p *Pipeline) tell(ctx context.Context, change string, in Incident) {
	if p.parts.Notify == nil {
		return
	}
	id := fmt.Sprintf("%s-%d-%s", in.ID, in.Raised, change)
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
	select {
	case p.notes <- in.ID:
	default:
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
		if a.Similarity != b.Similarity {
			return int(math.Copysign(1, b.Similarity-a.Similarity))
		}
		return b.At.Compare(a.At)
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
	var err error
	for attempt := range 4 {
		if err = p.parts.Journal.Record(ctx, e); err == nil {
			p.health.worked("store")
			return nil
		}
		if IsPermanent(err) || ctx.Err() != nil {
			break
		}
		time.Sleep(time.Duration(1<<attempt) * 25 * time.Millisecond)
	}
	p.health.failed("store", err.Error())
	p.drop(dropUnstored, len(e.Anomalies)+len(e.Incidents))
	return fmt.Errorf("engine: record: %w", err)
}
