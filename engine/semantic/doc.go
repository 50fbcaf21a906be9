// Package semantic compares the texts of a trace with what is known: Novelty with the nearest normal texts of the same service,
// Jailbreak with known attacks beside the nearest normal ones.
//
// In flow observations, redacted, in chunks and embedded; out flow findings of type semantic_novelty and jailbreak. A raw similarity means nothing by itself, since it depends on the embedding model, the length of the text
// and the service: each detector turns it into a p-value against its own calm history, kept a model apart.
//
// It never sees unredacted text, never compares vectors of two models, and never learns from what was judged anomalous.
package semantic
