package screen

import (
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// watcher is a detector whose state stands beside the series, keyed as it needs it: by service, by user, by version. Screen calls it
// with its lock held. Its memory is bounded by the configuration, and its binary form carries its state over a restart.
type watcher interface {
	// name is that of its state in a snapshot.
	name() string
	// observe takes in a span, in the order of arrival. What lies in a window that ended by closedUntil is too late to count there.
	observe(span *engine.Span, closedUntil time.Time)
	// advance closes the windows that ended by until and says what they show.
	advance(until time.Time) []engine.Finding
	// score compares a complete trace with what was learnt, and changes nothing.
	score(t *engine.Trace) []engine.Finding
	learner
}

// newWatchers makes every watcher, with nothing seen.
func newWatchers(cfg Config) []watcher {
	return []watcher{
		newCalls(cfg),
		newJoint(cfg),
		newSequences(cfg),
	}
}
