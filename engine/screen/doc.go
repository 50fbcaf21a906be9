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
//
// It never looks at text, keeps no clock of its own and does no I/O.
package screen
