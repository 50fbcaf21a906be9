// Package screen is the statistical tier: it sees every span and compares it, its window of time and its trace with what
// the series has been like.
//
// In flow spans (Observe), the watermark (Advance) and complete traces (Score); out flow findings with a p-value, an effect
// size and a learning state. A series is one service, operation, model, agent, tool and region. Beside each series stands a
// pool of all series with the same service and operation: where a series has not seen enough, its pool answers for its errors.
//
// Windows hold their values apart until they close. A baseline learns from a window that closed calm, never from one that
// showed something, so that an incident does not become the new normal; a level that lasts for AdoptAfter is adopted.
//
// The detectors, each in a file of its own:
//
//	latency   latency_spike     window and trace
//	errors    error_rate        window and trace
//	tokens    token_abuse       trace; heavy users by window
//	cost      cost_overrun      window of a service
//	traffic   traffic           window of a service
//	calls     latency_spike     first token and speed of model calls, window and trace
//	          cost_overrun, token_abuse  cost and context of model calls, trace
//	joint     the same three    model calls whose numbers do not go together, trace
//	versions  model_regression  one version of a series against the one before, valid at every look
//	sequence  four of these     the numbers of a service against all that they ever were, from window to window
//
// # Memory
//
// A series takes at most 4 KiB with all that it has, its place in the index included, and TestMemoryOfASeries holds it to less, which
// leaves room for further quantities: 1.3 KiB when it is new, 2.5 KiB at 20 spans a window, and 3.4 KiB at 300 spans a window with two
// windows open and a version on trial. A Quantity costs 144 bytes and 6 a bucket, a window's Sample of it 32 bytes and 4 a bucket.
//
// Series that memory has no room for (Config.MaxSeries) are on a Shelf of the store, and come back when they are seen again: what
// happens to one before its row is read is held back, and happens to it then. The rows are also what a snapshot keeps of the series in
// memory, those that changed alone (shelf.go). A series that left with a window open closes it when it comes back.
//
// It never looks at text and keeps no clock of its own. Its only I/O is the Shelf's, never with a lock held: Score and Advance wait for
// rows that were not read in the background yet, a quarter of a second at most, and not at all while the store does not answer.
package screen
