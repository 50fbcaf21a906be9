// Package semantic judges the texts of a trace: Novelty beside what is normal for the same service, Jailbreak and Injection beside known
// attacks.
//
// In flow observations, redacted, in chunks and embedded; out flow findings of type semantic_novelty, jailbreak and prompt_injection. A
// raw score means nothing by itself, since it depends on the embedding model, the length of the text and the service: each detector turns
// it into a p-value against the calm history of the service.
//
// Where a text comes from decides what it may hold (engine.TextKind): a user may tell the model what to do, and Jailbreak asks whether that
// is against its operator; a document or the result of a tool has nothing to tell it, and Injection asks whether a sentence of it tries
// (injection.go). Both read a text in plain letters and what is hidden in it (reading.go), hash its words and pairs (surface.go), and weigh
// them by a classifier whose weights ship (shipped.go, made by the program in fit) and that goes on learning from calm traffic and known
// attacks (classifier.go). Novelty knows no attacks: it compares meaning by the embedding and wording by pairs of words (wording.go).
//
// It never sees unredacted text, never compares vectors of two models, keeps hashes rather than texts beside the memory, and never learns
// from what was judged anomalous.
package semantic
