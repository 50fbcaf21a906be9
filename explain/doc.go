// Package explain writes the note of an incident: what happened, why it probably happened, what to do, and on which evidence
// each sentence rests.
//
// In flow an engine.Incident and the engine.Evidence that was gathered for it; out flows an engine.Explanation. On the way
//
//	Incident, Evidence ──> cite ──> rank ──> write ─────────────────────────────┬──> Explanation
//	                       facts    causes   the deterministic note             │
//	                                  │        └─ ask: prompt, Chat, check ─────┘
//	                                  │             once a fingerprint and digest, within the budget
//	                                  └ by a table: which kinds of cause fit which type of anomaly
//
// Facts are the only things that may be claimed. Each is one sentence with its figures and an id, E1 to En, and every
// sentence of a note that has a figure names the facts that it rests on.
//
// Causes are computed, never guessed by a model. A cause is a slice of the traffic, and its score is
//
//	score = plausibility × coverage × purity × support
//
// where plausibility comes from the table in plausibility.go, coverage says how much of the abnormal, and how much more than
// of calm traffic, lies in the slice, purity how abnormal the slice is beside the rest, which counts the less the fewer it is,
// and beside the purest slice, and support shrinks what rests on few observations. Versions are more plausible the closer before the onset they appeared or were
// announced by a change marker; a marker alone blames nothing. The unfamiliar topic is the one cause that is no slice: it is
// likely as far as no user, tenant or key stands out. Where nearly all traffic runs through what the detector names, nothing
// can confirm or refute it, and the detector's word counts half. Below a minimum the note says that no single cause stands out.
//
// A language model, if there is one, only puts the same note into better words. Its reply is structured and is checked: the
// citations exist, each claim has one, each figure and name with a digit is in what it cites, the causes are the computed
// ones, their order stays. A refused reply is asked for once more with the reasons, and then the deterministic note stands,
// with the reason in Fallback and in the counter sentinel_explain_notes_total.
//
// The package never reads traffic, stores or notifies anything, and never sends text to a model other than what the evidence
// holds, which is redacted. Budgets and time limits run on wall time.
package explain
