// Package groundedness measures whether responses that their context does not support are found.
//
//	groundedness.jsonl.gz ──> cases ──> traces ──Learn (grounded, other folds)──> pipeline ──Findings──> strangeness ──> metrics
//	                            └──> novel-bigram share, response length ────────────────────────────────────┘
//
// A case goes through the pipeline as the trace of a retrieval and of the model call that answers from what was retrieved; its score is
// the finding of type ungrounded_response. It never looks at how a detector works, and where no detector answers it reports unavailable
// and shows the trivial baselines alone.
package groundedness
