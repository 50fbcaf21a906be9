// Package explanations measures notes: for incidents whose true cause is known it has notes written and checks what they say against
// the evidence.
//
//	played days ──matched with the truth──> incidents ──Explainer──> notes ──> cause, claims and citations checked
//
// The incidents are those of the suite "scenarios", with the evidence that the pipeline gathered; the same Runner may serve both.
// Explainers are handed in: the one without a language model always, those with one where a model server runs.
//
// The check of claims is written here again, from the evidence alone, so that a fault in the check that serves is seen. It never asks a
// model to judge.
package explanations
