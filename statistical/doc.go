// Package statistical is the mathematics of screening: it learns what is normal for one number at a time and says how
// improbable the next number is.
//
// What flows in are float64 values, counts and the times at which they happened. What flows out are probabilities
// (p-values) and effect sizes. Every learner has the same shape: Add teaches it, a P method scores without changing it,
// Learning says that it has not seen enough to be believed, and MarshalBinary and UnmarshalBinary carry its state over a
// restart, with the same answers afterwards.
//
//   - [Quantity] learns the distribution of a positive quantity, such as latency, tokens or cost.
//   - [Proportion] learns how many of n go bad.
//   - [Rate] learns how many events a window of time brings, with the rhythm of the day.
//   - [HeavyHitters] finds the keys that account for most of a quantity, in bounded memory.
//   - [TwoSample] compares version against version.
//   - [Joint] learns how numbers that are observed together depend on each other.
//   - [Novelty] finds what a series of values never showed before.
//   - [Conformal] turns any detector's raw score into a p-value.
//   - [Cauchy] combines p-values that may depend on each other, [Score] puts one on the common scale, and [Alpha] moves
//     the level of significance so that alerts meet a budget.
//
// # P-values
//
// Every p-value lies in [1e-300, 1] and is meant to be conservative: under normal behaviour it is at most α in no more
// than about a share α of cases, and with few observations it stays large. An empirical p-value cannot go below
// 1/(n+1), so tails are extrapolated by an exponential excess over a high threshold (the peaks-over-threshold method
// with shape 0), whose scale is uncertain in proportion to the number of excesses.
//
// # Time
//
// Learners forget by event time with a half-life. An observation that arrives late is accepted with the weight that it
// would have by now; it never makes the rest younger. A gap ages a baseline by one half-life at most, so that neither a
// weekend of silence nor one wrong clock wipes what was learned, and a time that is more than 16 half-lives behind is
// taken for a clock that was set right.
//
// # Bounds
//
// Every value has bounded memory, ignores NaN, infinities and values that cannot be, and rejects a malformed snapshot
// with an error that leaves the receiver unchanged. A snapshot holds what was learned, not the configuration: restore
// it into a value that was made with the configuration wanted now.
//
// The package does no I/O, starts no goroutine and reads no clock. Its values are not safe for concurrent use.
package statistical
