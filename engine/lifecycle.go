package engine

import (
	"context"
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
	_, _, err := p.explain(ctx, id)
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

// explain writes the note of an active incident. Its outcome is told once the incident is stored with it.
func (p *Pipeline) explain(ctx context.Context, id string) (Incident, <-chan error, error) {
	p.readMarkers(ctx, id)
	p.recall(ctx, id)
	p.mu.Lock()
	x := p.grouper.find(id)
	if x == nil || x.incident.Evidence == nil {
		p.mu.Unlock()
		return Incident{}, nil, Errorf(CodeNotFound, "no active incident %s", id)
	}
	in, ev := x.incident, *x.incident.Evidence
	in.Onset = ev.From // a note is about this time, where the incident was raised before
	p.mu.Unlock()

	note, err := p.parts.Explainer.Explain(ctx, in, ev)
	if err != nil {
		return Incident{}, nil, fmt.Errorf("engine: explain %s: %w", id, err)
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	// The incident may have been resolved or taken over meanwhile; its note is still worth keeping.
	if current := p.grouper.find(id); current != nil {
		x = current
	}
	x.incident.Explanation = &note
	alert := x.incident.changed(ChangeExplained, time.Now().UTC())
	p.grouper.keep(&x.incident)
	return x.incident, p.store(x.incident, alert), nil
}

// markersTimeout bounds the look for change markers that other instances have stored. Wall time.
const markersTimeout = 5 * time.Second

// readMarkers looks into the store for change markers that are evidence for an incident and are not known here.
func (p *Pipeline) readMarkers(ctx context.Context, id string) {
	p.mu.Lock()
	x := p.grouper.find(id)
	if x == nil || p.writer.down() {
		p.mu.Unlock()
		return
	}
	from, to := p.changesNear(x)
	p.mu.Unlock()
	call, cancel := context.WithTimeout(ctx, markersTimeout)
	defer cancel()
	found, err := p.parts.Markers.Markers(call, from, to.Add(time.Nanosecond))
	if err != nil {
		p.log.Error("change markers not read", "incident", id, "error", err)
		return
	}
	if !p.markers.add(found) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if x := p.grouper.find(id); x != nil {
		p.renew(x)
	}
}

// Acknowledge records that somebody looks after the incident. CodeNotFound when it is not active; CodeUnavailable when the store
// does not answer: then nothing has changed, or the change waits for the store to answer.
func (p *Pipeline) Acknowledge(ctx context.Context, id, by, note string) (Incident, error) {
	return p.change(ctx, id, func(in *Incident, now time.Time) {
		in.Status = StatusAcknowledged
		in.Timeline = appendEvent(in.Timeline, TimelineEntry{At: now, Event: ChangeAcknowledged, By: by, Note: note})
	})
}

// Resolve ends the incident by a person's word. Its errors are those of Acknowledge.
func (p *Pipeline) Resolve(ctx context.Context, id, by, note string) (Incident, error) {
	return p.change(ctx, id, func(in *Incident, now time.Time) { in.resolve(now, by, note) })
}

// change does what a person says, and waits until it is stored. While the store is known to be down nothing is changed.
func (p *Pipeline) change(ctx context.Context, id string, apply func(in *Incident, now time.Time)) (Incident, error) {
	in, stored, err := func() (Incident, <-chan error, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		x := p.grouper.find(id)
		if x == nil {
			return Incident{}, nil, Errorf(CodeNotFound, "no active incident %s", id)
		}
		if p.writer.down() {
			return Incident{}, nil, &Error{Code: CodeUnavailable, Message: "the store does not answer", RetryAfter: lastPause}
		}
		now := time.Now().UTC()
		apply(&x.incident, now)
		x.told, _ = x.news()
		alert := x.incident.changed(x.told.Event, now)
		if x.incident.Status == StatusResolved {
			p.grouper.retire(x)
		}
		p.m.incidents.WithLabelValues(x.told.Event).Inc()
		return x.incident, p.store(x.incident, alert), nil
	}()
	if err != nil {
		return Incident{}, err
	}
	return in, p.await(ctx, stored)
}

// store hands an incident and its alert to the writer. p.mu is held.
func (p *Pipeline) store(in Incident, alert Alert) <-chan error {
	stored := make(chan error, 1)
	p.submit(&write{entry: Entry{Incidents: []Incident{in}}, alerts: []Alert{alert}, done: func(err error) { stored <- err }})
	return stored
}

// storeTimeout bounds how long a person waits for the store. Wall time.
const storeTimeout = 5 * time.Second

func (p *Pipeline) await(ctx context.Context, stored <-chan error) error {
	var err error
	select {
	case err = <-stored:
		if err == nil {
			return nil
		}
	case <-ctx.Done():
		err = ctx.Err()
	case <-time.After(storeTimeout):
	}
	return &Error{Code: CodeUnavailable, Message: "the store does not answer: the change waits for it", RetryAfter: lastPause, Err: err}
}

// Explain gathers the evidence of an active incident anew and writes its note at once. Its errors are those of Acknowledge.
func (p *Pipeline) Explain(ctx context.Context, id string) (Incident, error) {
	p.mu.Lock()
	if x := p.grouper.find(id); x != nil {
		p.renew(x)
	}
	p.mu.Unlock()
	in, stored, err := p.explain(ctx, id)
	if err != nil {
		return Incident{}, err
	}
	return in, p.await(ctx, stored)
}

// Health reports what is degraded, what was dropped and what waits.
func (p *Pipeline) Health() Health {
	h := p.health.report()
	h.Sampling = p.sampler.state()
	h.Queued = map[string]int{
		"screening_spans": int(p.inboxLen.Load()), "semantic_traces": p.flight.underway(), "notes": int(p.noting.Load()),
		"store_records": p.writer.waiting(),
	}
	return h
}
