package engine

import (
	"context"
	"slices"
	"time"
)

// analyse is the semantic stage: one goroutine that redacts, embeds, compares and judges flagged and sampled traces. While its
// queue is at most half full it works off the backlog.
func (p *Pipeline) analyse(ctx context.Context) {
	idle := time.NewTicker(time.Second)
	defer idle.Stop()
	for {
		select {
		case j, ok := <-p.semantic:
			if !ok {
				return
			}
			p.examine(ctx, j)
			p.learnCalm(ctx)
			p.flight.land()
			p.adjustSampling()
		case <-idle.C:
			p.learnCalm(ctx)
			p.catchUp(ctx)
			p.reviseAside(ctx)
			p.adjustSampling()
		}
	}
}

// adjustSampling moves the rate of sampling after what was spent.
func (p *Pipeline) adjustSampling() {
	if p.sampler.adjust(time.Now()) {
		p.m.sampleRatio.Set(p.sampler.state().Rate)
	}
}

func (p *Pipeline) examine(ctx context.Context, j *job) {
	began := time.Now()
	var found map[string][]Sensitive
	if !j.redacted {
		j.trace, found = redactTrace(j.trace, p.parts.Redactor)
	}
	content, err := p.ask(ctx, p.parts.Content, Observation{Trace: &j.trace})
	if err != nil {
		p.log.Error("content detector failed", "error", err)
	}
	j.findings = append(j.findings, content...)
	observations := slices.Collect(p.look(ctx, &j.trace, found)) // all of them, since each memory learns
	findings, err := p.compare(ctx, slices.Values(observations))
	switch {
	case err != nil:
		p.health.failed(partDetectors, err.Error())
	case len(observations) > 0:
		p.health.worked(partDetectors)
	}
	j.findings = append(j.findings, findings...)
	bytes := 0
	if len(observations) > 0 {
		for _, t := range observations[0].Texts {
			bytes += len(t.Text)
		}
	}
	p.sampler.spent(time.Since(began), bytes, j.flagged)
	p.settle(j, observations)
}

// catchUp works off flagged traces that had to wait in the store. They leave it once what was found in them is there too.
func (p *Pipeline) catchUp(ctx context.Context) {
	for 2*len(p.semantic) <= cap(p.semantic) && ctx.Err() == nil && !p.writer.down() && !p.writer.full(true) && !time.Now().Before(p.catchAgain) {
		waiting, err := p.nextDeferred(ctx)
		if err != nil {
			p.catchAgain = time.Now().Add(backlogPause)
			p.log.Error("backlog not worked off", "error", err)
			return
		}
		fresh := 0
		for _, d := range waiting {
			id := d.Trace.ID
			if !p.caught.begin(id) {
				continue
			}
			fresh++
			t := NewTrace(id, d.Trace.Spans)
			t.Late = d.Trace.Late
			p.examine(ctx, &job{
				trace: t, workflow: t, findings: d.Findings, redacted: true, flagged: true, complete: time.Now(),
				finish: func(err error) { p.caught.end(id, err) },
			})
		}
		if fresh == 0 {
			return
		}
	}
}

// partDetectors is degraded while the texts of traces can be compared in no memory.
const partDetectors = "semantic detectors"

// backlogTimeout bounds a look into the backlog; backlogPause is how long one that does not answer is left alone. Wall time.
const (
	backlogTimeout = 5 * time.Second
	backlogPause   = 30 * time.Second
)

// nextDeferred takes what is done with out of the backlog and returns the next of it, those under way among them.
func (p *Pipeline) nextDeferred(ctx context.Context) ([]Deferred, error) {
	const batch = 32
	call, cancel := context.WithTimeout(ctx, backlogTimeout)
	defer cancel()
	if done := p.caught.stored(); len(done) > 0 {
		if err := p.parts.Backlog.FinishDeferred(call, done); err != nil {
			return nil, err
		}
		p.caught.forget(done)
	}
	underway := p.caught.count()
	if underway >= batch {
		return nil, nil
	}
	return p.parts.Backlog.NextDeferred(call, underway+batch)
}

// Score implements Scorer: it judges a trace beside the stream, by the same detectors, and changes nothing.
func (p *Pipeline) Score(ctx context.Context, t Trace) (Verdict, error) {
	findings, err := p.Findings(ctx, t)
	if err != nil {
		return Verdict{}, err
	}
	p.lessons.raise(findings)
	p.mu.Lock()
	alpha := p.alphas.value(t.Lead().Service)
	p.mu.Unlock()
	return judge(t.ID, findings, alpha, p.cfg.Severity), nil
}

// Findings is what each detector says of a trace, those that still learn too, before it is one score. It changes nothing.
func (p *Pipeline) Findings(ctx context.Context, t Trace) ([]Finding, error) {
	if len(t.Spans) == 0 {
		return nil, Errorf(CodeInvalid, "trace %s has no spans", t.ID)
	}
	findings := p.parts.Screener.Score(&t)
	workflow, err := p.ask(ctx, p.parts.Workflow, Observation{Trace: &t})
	if err != nil {
		return nil, err
	}
	findings = append(findings, workflow...)
	redacted, found := redactTrace(t, p.parts.Redactor)
	content, err := p.ask(ctx, p.parts.Content, Observation{Trace: &redacted})
	if err != nil {
		return nil, err
	}
	findings = append(findings, content...)
	semantic, err := p.compare(ctx, p.look(ctx, &redacted, found))
	if err != nil {
		return nil, &Error{Code: CodeUnavailable, Message: "no vector memory answers", RetryAfter: 5 * time.Second, Err: err}
	}
	findings = append(findings, semantic...)
	return findings, nil
}
