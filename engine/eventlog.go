package engine

import (
	"context"
	"fmt"
	"time"
)

// logEvents hands events to the writer before their receipt is let go. Without a log, or with a screener whose state is not kept, there is
// nothing to come back to.
func (p *Pipeline) logEvents(events []SecurityEvent, r *receipt) {
	if _, kept := p.parts.Events.(Snapshotter); !kept || p.parts.EventLog == nil {
		return
	}
	w := &write{entry: Entry{Events: make([]LoggedEvent, len(events))}}
	for i, e := range events {
		p.eventNumber++
		w.entry.Events[i] = LoggedEvent{p.eventNumber, e}
	}
	if r != nil {
		r.hold()
		w.done = r.release
	}
	p.writer.add(w)
}

// replayEvents observes the events that no snapshot holds. Those that one does hold, since it was stored just before a crash, are known to
// it by their ids.
func (p *Pipeline) replayEvents(ctx context.Context) error {
	if p.parts.Events == nil || p.parts.EventLog == nil {
		return nil
	}
	logged, err := p.parts.EventLog.LoggedEvents(ctx)
	if err != nil {
		return fmt.Errorf("engine: read the log of events: %w", err)
	}
	if len(logged) == 0 {
		return nil
	}
	events := make([]SecurityEvent, len(logged))
	now := time.Now()
	for i, x := range logged {
		events[i] = x.Event
		p.mark.hear(x.Event.At, now)
		p.eventNumber = max(p.eventNumber, x.Number)
	}
	p.parts.Events.Observe(events)
	p.eventful = true
	p.log.Info("events observed again", "events", len(events))
	return nil
}
