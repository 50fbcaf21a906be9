package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Names of the parts of a snapshot.
const (
	snapshotScreener   = "engine/screener"
	snapshotEvents     = "engine/events"
	snapshotTopics     = "engine/topics"
	snapshotAlphas     = "engine/alphas"
	snapshotServices   = "engine/services"
	snapshotSurges     = "engine/surges"
	snapshotCandidates = "engine/candidates"
	snapshotLedger     = "engine/ledger"
	snapshotDetector   = "engine/detector/"
	pseudonymKey       = "engine/pseudonym-key"
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

// snapshot is everything that a crash would forget, at one moment, and who waits for it to be stored.
type snapshot struct {
	parts   []snapshotPart // the ledger last
	failed  error          // parts that are missing
	batches []settledBatch // that are done once it is stored
	events  int64          // number of the latest event that it holds
}

type snapshotPart struct {
	name string
	data []byte
}

// snapshotRest is how many times as long as it held screening up a snapshot is followed by none.
const snapshotRest = 50

// snapshotDue reports whether it is time for a snapshot: soon, when a broker waits for one.
func (p *Pipeline) snapshotDue(now time.Time) bool {
	every := p.cfg.SnapshotEvery
	if p.ledger.awaited() {
		every = min(every, p.cfg.AcknowledgeEvery)
	}
	if p.keeper != nil && p.keeper.Crowded() {
		every = 0
	}
	return now.Sub(p.captured) >= max(every, p.capturing*snapshotRest)
}

// fetchAside reads series that were seen again, beside the stream.
func (p *Pipeline) fetchAside(ctx context.Context) {
	if p.keeper == nil || !p.fetching.CompareAndSwap(false, true) {
		return
	}
	p.aside.Go(func() {
		defer p.fetching.Store(false)
		if err := p.keeper.Fetch(ctx); err != nil && ctx.Err() == nil {
			p.health.failed("series", err.Error())
			p.log.Error("series not read back", "error", err)
			return
		}
		p.health.worked("series")
	})
}

// snapshot stores one now. Its batches are told whatever comes of it: it is the last one.
func (p *Pipeline) snapshot(ctx context.Context) error {
	x := p.capture()
	_, err := p.save(ctx, x)
	for _, b := range x.batches {
		b.done(err)
	}
	return errors.Join(x.failed, err)
}

// snapshotAside stores one beside the stream: a store that is slow delays no screening. While one is still under way there is no other.
// Its batches wait for the next when the store does not answer. What the store can never take holds nobody up: it is reported for as
// long as that goes on.
func (p *Pipeline) snapshotAside(ctx context.Context) {
	if !p.saving.CompareAndSwap(false, true) {
		return
	}
	x := p.capture()
	p.aside.Go(func() {
		defer p.saving.Store(false)
		again, err := p.save(ctx, x)
		if again {
			p.ledger.reopen(x.batches)
		} else {
			for _, b := range x.batches {
				b.done(nil)
			}
		}
		if err = errors.Join(x.failed, err); err != nil {
			p.health.failed("snapshots", err.Error())
			p.log.Error("baselines not stored", "error", err)
			return
		}
		p.health.worked("snapshots")
		if !p.writer.down() {
			p.health.worked("store") // whatever it refused, it answers
		}
	})
}

// capture takes a snapshot. The batches come first: what they left behind is in memory by now.
func (p *Pipeline) capture() snapshot {
	begin := time.Now()
	x := snapshot{batches: p.ledger.close(), events: p.eventNumber}
	p.eachSnapshotter(x.batches, func(name string, s Snapshotter) {
		var buf bytes.Buffer
		if err := s.Snapshot(&buf); err != nil {
			x.failed = errors.Join(x.failed, fmt.Errorf("engine: snapshot %s: %w", name, err))
			return
		}
		x.parts = append(x.parts, snapshotPart{name, buf.Bytes()})
	})
	p.captured = time.Now()
	p.capturing = p.captured.Sub(begin)
	return x
}

// save stores a snapshot and takes the events that it holds out of their log. After an error it reports whether the store may take it
// another time; then the ledger is not stored, which says what the parts before it hold.
func (p *Pipeline) save(ctx context.Context, x snapshot) (again bool, err error) {
	now := time.Now()
	if p.keeper != nil {
		if e := p.keeper.Save(ctx); e != nil {
			err = fmt.Errorf("engine: store series: %w", e)
			if !hopeless(e) {
				return true, err
			}
		}
	}
	for _, part := range x.parts {
		if e := p.parts.Snapshots.SaveSnapshot(ctx, part.name, now, part.data); e != nil {
			err = errors.Join(err, fmt.Errorf("engine: store snapshot %s: %w", part.name, e))
			if !hopeless(e) {
				return true, err
			}
		}
	}
	if p.parts.EventLog != nil {
		if e := p.parts.EventLog.ForgetEvents(ctx, x.events); e != nil {
			err = errors.Join(err, fmt.Errorf("engine: forget events: %w", e))
		}
	}
	if err == nil {
		p.m.snapshot.Set(float64(now.Unix()))
	}
	return false, err
}

// restore reads back what an earlier run stored.
func (p *Pipeline) restore(ctx context.Context) error {
	errs := []error{p.loadKey(ctx)}
	p.eachSnapshotter(nil, func(name string, s Snapshotter) {
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
	if p.keeper != nil {
		switch err := p.keeper.Load(ctx); {
		case ErrorCode(err) == CodeInvalid:
			p.health.failed("snapshot series", err.Error())
			p.log.Error("series unreadable, learning starts over", "error", err)
		case err != nil:
			errs = append(errs, fmt.Errorf("engine: load series: %w", err))
		}
	}
	if err := errors.Join(append(errs, p.replayEvents(ctx))...); err != nil {
		return err
	}
	incidents, err := p.parts.Journal.ActiveIncidents(ctx, time.Now().Add(-p.cfg.Incidents.ReraiseWithin))
	if err != nil {
		return fmt.Errorf("engine: read active incidents: %w", err)
	}
	markers, err := p.parts.Markers.Markers(ctx, time.Now().Add(-24*time.Hour-p.cfg.Evidence.MarkersBefore), time.Now().Add(maxAhead))
	if err != nil {
		return fmt.Errorf("engine: read change markers: %w", err)
	}
	p.markers.add(markers)
	if p.parts.Feedback != nil {
		p.revise(ctx)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.grouper.restore(incidents)
	return nil
}

// eachSnapshotter calls do with every part of a snapshot, in the order in which they are stored.
func (p *Pipeline) eachSnapshotter(closing []settledBatch, do func(name string, s Snapshotter)) {
	if s, ok := p.parts.Screener.(Snapshotter); ok {
		do(snapshotScreener, s)
	}
	if s, ok := p.parts.Events.(Snapshotter); ok {
		do(snapshotEvents, s)
	}
	if s, ok := p.parts.Topics.(Snapshotter); ok {
		do(snapshotTopics, s)
	}
	for _, d := range slices.Concat(p.parts.Workflow, p.parts.Content, p.parts.Semantic) {
		if s, ok := d.(Snapshotter); ok {
			do(snapshotDetector+d.Name(), s)
		}
	}
	p.mu.Lock()
	do(snapshotAlphas, p.alphas)
	do(snapshotSurges, p.surges)
	do(snapshotCandidates, candidates{p.grouper})
	p.mu.Unlock()
	do(snapshotServices, &p.services)
	do(snapshotLedger, ledgerPage{p.ledger, closing})
}
