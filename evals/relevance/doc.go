// Package relevance measures whether searches that found nothing to the point are noticed.
//
//	groundedness.jsonl.gz ──> searches ──> traces ──Learn (relevant, other folds)──> pipeline ──Findings──> strangeness ──> metrics
//	                             └──> missing words, BM25, length of the document ─────────────────────────────┘
//
// A search is a question with the text that was found for it: its own context, or that of another question. It goes through the pipeline
// as the trace of a retrieval; its score is the finding of type retrieval_irrelevance. The suite never looks at how a detector works, and
// where no detector answers it reports unavailable and shows the trivial baselines alone.
package relevance
