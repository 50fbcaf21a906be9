// Package timeseries is the eval suite of anomaly scores for the points of a stream: one pass, no look-ahead.
//
// In flow the series of the Numenta Anomaly Benchmark's folder layout and the windows in which something was wrong. A fresh Detector
// scores each series in its own order. Out flow the benchmark's three scores (package nab), with the best threshold and with one that
// was frozen beforehand, and VUS-PR, beside a null, a random and a z-score detector and those whose raw scores are published.
//
// The package knows no detector but trivial ones and Screening, the one of statistical that screening follows the numbers of a service
// with.
package timeseries
