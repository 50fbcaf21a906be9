// Package nab scores detectors of anomalies in streams as the Numenta Anomaly Benchmark does (Lavin and Ahmad, "Evaluating Real-Time
// Anomaly Detection Algorithms", ICMLA 2015, and the scorer of its public repository).
//
// In flow, for each series, one anomaly score a row and the windows in which something was truly wrong. A row whose score reaches the
// threshold is a detection:
//
//   - The best detection in a window, which is its first, is rewarded by a scaled sigmoid of its place: 1 in the first row, near 0 in
//     the last. Others in the window count for nothing.
//   - A detection outside costs by the distance to the end of the window before it: little just behind it, 1 from three lengths on, and
//     1 before any window.
//   - A window without a detection is missed.
//   - The first rows of a series are probation, in which nothing counts.
//
// Out flows a Tally, a sum over series that no profile has weighed yet; a Profile turns it into the score, on which 0 is a detector that
// never speaks and 100 one that speaks in the first row of each window and never else.
//
// Sweep walks once through all scores of a corpus in falling order and has the tally at every threshold.
package nab
