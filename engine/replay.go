package engine

import (
	"context"
	"errors"
	"iter"
	"time"
)

// Replay works off recorded batches, one after the other, on the caller's goroutine: the stages of Run without the queues
// between them, so that the outcome depends on the batches and on nothing else. At the end every open trace is complete, event
// time has come to the latest event, and what was learnt is snapshotted. It may be called again with later batches, but not
// beside Run. An error among the batches ends it.
func (p *Pipeline) Replay(ctx context.Context, batches iter.Seq2[Batch, error]) error {
	switch {
	case p.started.CompareAndSwap(false, true):
		p.replaying = true
		if err := p.restore(ctx); err != nil {
			return err
		}
	case !p.replaying:
		return errors.New("engine: Replay called beside Run")
	}
	for b, err := range batches {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		p.inboxLen.Add(b.size())
		p.take(ctx, delivery{b, newReceipt(b.Done), time.Now()})
		p.aside.Wait()
		if err := p.workOff(ctx); err != nil {
			return err
		}
	}
	p.completeAll(ctx)
	if err := p.workOff(ctx); err != nil {
		return err
	}
	for waiting := true; waiting; waiting = p.caught.count() > 0 {
		p.catchUp(ctx)
		if err := p.workOff(ctx); err != nil {
			return err
		}
	}
	p.advance(ctx, p.mark.latest)
	return errors.Join(p.workOff(ctx), p.snapshot(ctx), ctx.Err())
}

// workOff does what the later stages would do beside screening, until nothing is left.
func (p *Pipeline) workOff(ctx context.Context) error {
	for {
		select {
		case j := <-p.semantic:
			p.examine(ctx, j)
			p.flight.land()
			continue
		default:
		}
		p.learnCalm(ctx)
		select {
		case id := <-p.notes:
			p.writeNote(ctx, id)
		default:
			return p.storeAll(ctx)
		}
	}
}

// storeAll writes what waits for the store, and tries again a few times when that fails.
func (p *Pipeline) storeAll(ctx context.Context) (err error) {
	for pause := firstPause; pause <= 8*firstPause; pause *= 2 {
		if err = p.writer.flush(ctx); err == nil || ctx.Err() != nil {
			return err
		}
		time.Sleep(pause)
	}
	return err
}

// Settle ends open windows and teaches what is still held back, as if calm time had passed. It is for offline use: after Replay,
// and before Score is asked about other traces.
func (p *Pipeline) Settle(ctx context.Context) error {
	later := p.mark.latest.Add(24 * time.Hour)
	p.parts.Screener.Advance(later)
	if p.parts.Events != nil {
		p.parts.Events.Advance(later)
	}
	p.mu.Lock()
	p.pass(later)
	p.mu.Unlock()
	p.learnCalm(ctx)
	return p.snapshot(ctx)
}
