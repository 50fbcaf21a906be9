package engine

import (
	"context"
	"errors"
	"fmt"
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
		case <-idle.C:
			p.learnCalm(ctx)
			p.catchUp(ctx)
		}
	}
}

func (p *Pipeline) examine(ctx context.Context, j *job) {
	var found map[string][]Sensitive
	if !j.redacted {
		j.trace, found = redactTrace(j.trace, p.parts.Redactor)
	}
	observations := p.look(ctx, &j.trace, found, false)
	if len(observations) > 0 {
		findings, err := p.ask(ctx, p.parts.Semantic, observations[0])
		if err != nil {
			p.health.failed("memory", err.Error())
			p.log.Error("semantic detector failed", "error", err)
		} else {
			p.health.worked("memory")
		}
		j.findings = append(j.findings, findings...)
	}
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
				trace: t, workflow: t, findings: d.Findings, redacted: true, complete: time.Now(),
				finish: func(err error) { p.caught.end(id, err) },
			})
		}
		if fresh == 0 {
			return
		}
	}
}

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

// lensTimeout bounds one call of an embedder; lensPause is how long a failing one is left alone. Wall time.
const (
	lensTimeout = 15 * time.Second
	lensPause   = 15 * time.Second
)

// look embeds the texts of a redacted trace through each lens, so that each memory learns. The first observation is the one to
// judge by: of the preferred lens, or of one that stands in for it. With asking set only that one is made.
func (p *Pipeline) look(ctx context.Context, t *Trace, found map[string][]Sensitive, asking bool) []Observation {
	pieces := texts(t, found, p.cfg.EmbedKinds, p.cfg.ChunkWords, p.cfg.MaxChunks)
	if len(pieces) == 0 {
		return nil
	}
	strings := make([]string, len(pieces))
	for i := range pieces {
		strings[i] = pieces[i].Text
	}
	var out []Observation
	for i, lens := range p.parts.Lenses {
		vectors, err := p.embed(ctx, i, lens.Embedder, strings)
		if err != nil {
			continue
		}
		o := Observation{Trace: t, Texts: append([]Text(nil), pieces...), Memory: lens.Memory, Model: lens.Embedder.Model()}
		for k := range o.Texts {
			o.Texts[k].Vector = vectors[k]
		}
		out = append(out, o)
		if asking {
			break
		}
	}
	if len(out) == 0 && len(p.parts.Lenses) > 0 {
		p.drop(dropUnembedded, 1)
	}
	return out
}

var errLensPaused = errors.New("engine: embedder failed lately and is left alone")

func (p *Pipeline) embed(ctx context.Context, i int, e Embedder, texts []string) ([][]float32, error) {
	p.lensMu.Lock()
	paused := time.Now().Before(p.lensDown[i])
	p.lensMu.Unlock()
	if paused {
		return nil, errLensPaused
	}
	part := "embedder " + e.Model().Name
	call, cancel := context.WithTimeout(ctx, lensTimeout)
	defer cancel()
	vectors, err := e.Embed(call, texts)
	if err == nil && len(vectors) != len(texts) {
		err = fmt.Errorf("engine: embedder %s gave %d vectors for %d texts", e.Model().Name, len(vectors), len(texts))
	}
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err() // whoever asked went away: that says nothing of the embedder
	}
	if err != nil {
		p.lensMu.Lock()
		p.lensDown[i] = time.Now().Add(lensPause)
		p.lensMu.Unlock()
		p.health.failed(part, err.Error())
		p.log.Warn("embedder failed", "model", e.Model().Name, "error", err)
		return nil, err
	}
	p.health.worked(part)
	return vectors, nil
}

// Score implements Scorer: it judges a trace beside the stream, by the same detectors, and changes nothing.
func (p *Pipeline) Score(ctx context.Context, t Trace) (Verdict, error) {
	findings, err := p.Findings(ctx, t)
	if err != nil {
		return Verdict{}, err
	}
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
	if observations := p.look(ctx, &redacted, found, true); len(observations) > 0 {
		semantic, err := p.ask(ctx, p.parts.Semantic, observations[0])
		if err != nil {
			return nil, &Error{Code: CodeUnavailable, Message: "the vector memory does not answer", RetryAfter: 5 * time.Second, Err: err}
		}
		findings = append(findings, semantic...)
	}
	return findings, nil
}
