package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"
)

// explainAll is the last stage: it writes notes, one at a time, away from everything that must not wait for a language model. It ends
// once analysis has and the queue is empty.
func (p *Pipeline) explainAll(ctx context.Context, analysed <-chan struct{}) {
	for {
		select {
		case id := <-p.notes:
			p.writeNote(ctx, id)
			continue
		default:
		}
		select {
		case id := <-p.notes:
			p.writeNote(ctx, id)
		case <-analysed:
			return
		}
	}
}

func (p *Pipeline) writeNote(ctx context.Context, id string) {
	defer p.noting.Add(-1)
	if p.explained(id) {
		return // asked for twice
	}
	_, err := p.explain(ctx, id)
	switch {
	case ErrorCode(err) == CodeNotFound: // resolved meanwhile
	case err != nil:
		p.health.failed("explanations", err.Error())
		p.log.Error("no note", "incident", id, "error", err)
	default:
		p.health.worked("explanations")
	}
}

// explained reports whether the incident has a note on the evidence that it has now.
func (p *Pipeline) explained(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	x := p.grouper.find(id)
	return x != nil && x.incident.Evidence != nil && x.incident.Explanation != nil &&
		x.incident.Explanation.EvidenceDigest == x.incident.Evidence.Digest
}

// explain writes the note of an active incident and stores it.
func (p *Pipeline) explain(ctx context.Context, id string) (Incident, error) {
	p.mu.Lock()
	x := p.grouper.find(id)
	if x == nil || x.incident.Evidence == nil {
		p.mu.Unlock()
		return Incident{}, Errorf(CodeNotFound, "no active incident %s", id)
	}
	in, ev := x.incident, *x.incident.Evidence
	in.Onset = ev.From // a note is about this time, where the incident was raised before
	p.mu.Unlock()

	note, err := p.parts.Explainer.Explain(ctx, in, ev)
	if err != nil {
		return Incident{}, fmt.Errorf("engine: explain %s: %w", id, err)
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	// The incident may have been resolved or taken over meanwhile; its note is still worth keeping.
	if current := p.grouper.find(id); current != nil {
		x = current
	}
	x.incident.Explanation = &note
	if past, ok := p.grouper.resolved[x.incident.Fingerprint]; ok && past.ID == id {
		past.Explanation = &note
		p.grouper.resolved[x.incident.Fingerprint] = past
	}
	if err := p.store(ctx, Entry{Incidents: []Incident{x.incident}}); err != nil {
		return Incident{}, err
	}
	p.tell(ctx, "explained-"+note.EvidenceDigest, "explained", x.incident)
	return x.incident, nil
}

// Acknowledge records that somebody looks after the incident. CodeNotFound when it is not active.
func (p *Pipeline) Acknowledge(ctx context.Context, id, by, note string) (Incident, error) {
	return p.change(ctx, id, func(in *Incident, now time.Time) {
		in.Status = StatusAcknowledged
		in.Timeline = appendEvent(in.Timeline, TimelineEntry{At: now, Event: "acknowledged", By: by, Note: note})
	})
}

// Resolve ends the incident by a person's word. CodeNotFound when it is not active.
func (p *Pipeline) Resolve(ctx context.Context, id, by, note string) (Incident, error) {
	return p.change(ctx, id, func(in *Incident, now time.Time) { in.resolve(now, by, note) })
}

// change stores what a person changed and only then holds it to be so.
func (p *Pipeline) change(ctx context.Context, id string, apply func(in *Incident, now time.Time)) (Incident, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	x := p.grouper.find(id)
	if x == nil {
		return Incident{}, Errorf(CodeNotFound, "no active incident %s", id)
	}
	changed := x.incident
	apply(&changed, time.Now().UTC())
	if err := p.store(ctx, Entry{Incidents: []Incident{changed}}); err != nil {
		return Incident{}, &Error{Code: CodeUnavailable, Message: "the store does not answer", RetryAfter: time.Second, Err: err}
	}
	x.incident = changed
	if changed.Status == StatusResolved {
		p.grouper.retire(x)
	}
	x.told, _ = x.news()
	p.m.incidents.WithLabelValues(x.told.Event).Inc()
	p.tell(ctx, x.told.Event, x.told.Event, changed)
	return changed, nil
}

// Explain gathers the evidence of an active incident anew and writes its note at once.
func (p *Pipeline) Explain(ctx context.Context, id string) (Incident, error) {
	p.mu.Lock()
	if x := p.grouper.find(id); x != nil {
		p.gather(ctx, x)
	}
	p.mu.Unlock()
	return p.explain(ctx, id)
}

// Health reports what is degraded, what was dropped and what waits.
func (p *Pipeline) Health() Health {
	h := p.health.report()
	h.Queued = map[string]int{"screening_spans": int(p.inboxLen.Load()), "semantic_traces": p.flight.underway(), "notes": int(p.noting.Load())}
	return h
}

// Names of the snapshots that make up what was learnt.
const (
	snapshotScreener = "engine/screener"
	snapshotAlphas   = "engine/alphas"
	snapshotServices = "engine/services"
	snapshotDetector = "engine/detector/"
	pseudonymKey     = "engine/pseudonym-key"
)

// loadKey reads the key of pseudonyms, or stores a new one.
func (p *Pipeline) loadKey(ctx context.Context) error {
	key, _, err := p.parts.Snapshots.LoadSnapshot(ctx, pseudonymKey)
	switch {
	case ErrorCode(err) == CodeNotFound:
		err = p.parts.Snapshots.SaveSnapshot(ctx, pseudonymKey, time.Now(), p.key)
	case err == nil:
		p.key = key
	}
	if err != nil {
		return fmt.Errorf("engine: key of pseudonyms: %w", err)
	}
	return nil
}

// snapshot stores all that was learnt.
func (p *Pipeline) snapshot(ctx context.Context) error {
	now := time.Now()
	var errs []error
	save := func(name string, s Snapshotter) {
		var buf bytes.Buffer
		if err := s.Snapshot(&buf); err != nil {
			errs = append(errs, fmt.Errorf("engine: snapshot %s: %w", name, err))
			return
		}
		if err := p.parts.Snapshots.SaveSnapshot(ctx, name, now, buf.Bytes()); err != nil {
			errs = append(errs, fmt.Errorf("engine: store snapshot %s: %w", name, err))
		}
	}
	p.eachSnapshotter(save)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	p.m.snapshot.Set(float64(now.Unix()))
	return nil
}

// restore reads back what an earlier run stored.
func (p *Pipeline) restore(ctx context.Context) error {
	errs := []error{p.loadKey(ctx)}
	p.eachSnapshotter(func(name string, s Snapshotter) {
		data, at, err := p.parts.Snapshots.LoadSnapshot(ctx, name)
		if ErrorCode(err) == CodeNotFound {
			return
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("engine: load snapshot %s: %w", name, err))
			return
		}
		if err := s.Restore(bytes.NewReader(data)); err != nil {
			// A service that watches others must come up; that this part starts to learn anew is told as long as it runs.
			p.health.failed("snapshot "+name, "unreadable, learning starts over: "+err.Error())
			p.log.Error("snapshot unreadable, learning starts over", "snapshot", name, "error", err)
			return
		}
		p.log.Info("restored", "snapshot", name, "age", time.Since(at).Round(time.Second))
	})
	if err := errors.Join(errs...); err != nil {
		return err
	}
	incidents, err := p.parts.Journal.ActiveIncidents(ctx, time.Now().Add(-p.cfg.Incidents.ReraiseWithin))
	if err != nil {
		return fmt.Errorf("engine: read active incidents: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.grouper.restore(incidents)
	return nil
}

func (p *Pipeline) eachSnapshotter(do func(name string, s Snapshotter)) {
	if s, ok := p.parts.Screener.(Snapshotter); ok {
		do(snapshotScreener, s)
	}
	for _, d := range append(append([]Detector(nil), p.parts.Workflow...), p.parts.Semantic...) {
		if s, ok := d.(Snapshotter); ok {
			do(snapshotDetector+d.Name(), s)
		}
	}
	p.mu.Lock()
	do(snapshotAlphas, p.alphas)
	p.mu.Unlock()
	do(snapshotServices, &p.services)
}
