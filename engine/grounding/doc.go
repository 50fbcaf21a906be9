// Package grounding looks at whether an answer rests on what it was given: Detector compares the answer of a trace with the passages that
// were there for it, Retrieval compares what was searched for with what was found.
//
// In flow complete traces whose texts are redacted; out flow findings of type ungrounded_response and retrieval_irrelevance.
//
//	retrieved documents ┐
//	tool results        ├─> passages ─┐
//	long user prompts   ┘             ├─> signals, equally weighted ─> raw score ─> p-value against the service's own past
//	last answer ──> sentences ────────┘                                   │
//	                                               doubtful ─> Judge, where there is one, quotes or does not
//
// A raw score means nothing by itself: services quote, summarise or chat, and each is compared with its own calm past. What is learnt is
// the raw scores that the engine holds to be normal and how much of an answer is usually covered; no text is kept. It never calls what is
// false false: it says that the passages do not show it.
package grounding
