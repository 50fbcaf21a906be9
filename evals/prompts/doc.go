// Package prompts is the suite of attacks in text: jailbreaks among what users type, injections among what tools and retrieval return,
// and benign texts that use the attackers' words.
//
//	prompts.jsonl.gz ──> texts ──> one trace a text ──> findings of the pipeline that serves ──> attack scores ──> Result
//	overdefence.jsonl ─────┘                      └──> text length, keyword list ─────────────────────┘
//
// In flow labelled texts and a constructor of the pipeline; out flow how well its findings separate attacks from what is benign, by
// type of finding. Benign texts are learnt as normal and attacks are taught as known, each by the pipeline's own means.
//
// No pipeline ever judges a text that it has learnt, nor an attack whose cluster or family it was taught; a frozen one learns nothing.
// The suite knows no detector: it reads findings by their type, and what nothing says a word about is unavailable.
package prompts
