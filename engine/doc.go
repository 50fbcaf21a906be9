// Package engine is the domain of LLM-Sentinel and its pipeline, and this is the architecture document.
//
// # Flow
//
//	sources ──> Consume ──> screening ──┬──> assembly ──> complete traces ──> workflow detectors
//	            (bounded)   (windows,   │                                          │
//	                         baselines) │                    quiet: digest ◀───────┤
//	                                    │                                flagged or sampled
//	                                    │                                          v
//	                                    │                  redact ──> embed ──> semantic detectors
//	                                    │                                          │
//	                                    v                                          v
//	                            findings of windows                      one verdict a trace
//	                                    └──────────────┬───────────────────────────┘
//	                                                   v
//	                                   groups ──> incidents ──> evidence ──> note
//	                                                   │ with their alerts
//	                                                   v
//	                                                writer ──> Journal and Outbox ──> receivers (notify)
//
// Security events go from Consume to their own screener, and what they show joins the findings of windows.
//
// Four goroutines do the work, each with a bounded queue before it: screening (take, assemble, close windows), analysis (the
// semantic tier), notes, and the writer. A stage never waits for the one behind it: when the semantic queue is full, sampled traces
// are shed and flagged ones go to the Backlog; when the queue of notes is full, an incident keeps its earlier note; when screening
// itself is full, Consume says CodeFull and the source comes back. All of it is counted (metrics.go) and reported (Health).
//
// # What is stored
//
// Everything that is found goes through the writer (writer.go), in one order, so that no later state of an incident is overwritten
// by an earlier one. An alert is part of the transaction that stores the change which it tells: after a crash both are there or
// neither. Its id counts the changes of the incident, and the count is stored with the incident, so that a change has one id for
// ever and the Outbox leaves out what it knows. Alerts are recorded only where somebody receives them (Parts.Wake).
//
// While the store does not answer, what is found waits in memory and is tried again; screening and analysis go on. Receipts of what
// comes in meanwhile are held, so that a broker keeps what is not stored. Above a bound sources are told to come back, and the
// oldest that carries no alert is shed and counted; what carries one never is. What is left when the service has to stop is counted,
// and an error of Run.
//
// # Contracts
//
// Everything outside is behind the small interfaces of contract.go, which say who owns what. cmd injects the implementations; this
// package knows no adapter. What matters most:
//
//   - A Batch is accepted by Consume and done when its Done is called: the batch and each trace that it touches hold a receipt,
//     and the last one to be stored lets go (receipt.go). Nothing is done before what was found earlier is stored, and in a snapshot.
//   - Detectors score and learn apart. The pipeline decides what is normal: an anomalous trace is never learnt, the others wait in
//     quarantine until it is known whether they came in calm time (quarantine.go). The Screener does the same by windows.
//   - Score judges a trace beside the stream by the same detectors and changes nothing.
//   - A Lens is an embedder with its memory. The preferred one is judged by, the next stands in when either of the two fails, and
//     each learns (lens.go). Vectors of two models are never compared: the model is part of the Collection.
//   - Redaction happens once, where text leaves the hot path (redactTrace), and identities that are sensitive by themselves are
//     replaced before anything is learnt (pseudonymise). Nothing behind that point sees the original.
//   - What is in memory is snapshotted at an interval (snapshot.go): baselines, open windows, surges, candidates. What a broker delivered
//     is done once a snapshot holds what it left there, and of what comes again after a crash the snapshot knows what it holds
//     (ledger.go). Security events do not wait for one: they are stored as they come, and observed again after a crash
//     (eventlog.go). Of what nobody waits for, a crash costs at most an interval.
//
// # Two clocks
//
// Detection runs on event time behind a watermark (watermark.go): windows close, traces are complete, incidents settle and resolve
// by the time that spans carry, so that replays, late edges and accelerated demonstrations come out the same. Incidents advance
// only as far as the semantic tier has come (flight.go), but never wait long for it. Retries, snapshots, time limits and budgets
// run on wall time.
//
// # One score
//
// A detector says a p-value against calm history, an effect, and whether the effect is material. The p-values of a trace are
// combined by the Cauchy combination, and the verdict's score is log p / log α: above 1 is anomalous (verdict.go). α is kept a
// service and moved so that incidents meet alerts_per_day. Many traces that are each a little unusual are found by surges.
//
// # From anomalies to incidents
//
// Anomalies of one type about one subject share a fingerprint and form a group (group.go). A group that holds enough abnormal
// traces becomes an incident, unless another group accounts for it: a symptom joins its cause, by precedence of types and shared
// traces. An open symptom is taken over, under its id, by a cause that shows later. An incident resolves when it has been calm for
// a while, and the same fingerprint later raises it again. Severity only rises while it is open, which is told (worsened). A pattern
// of security events is an incident by itself, at once.
//
//	candidate ──enough traces, settled──> open ──person──> acknowledged
//	    │  └─symptom of another─> joined    │  └──────────────┬────────┘
//	    └─stale─> forgotten                 │        calm, or a person
//	                                        v                 v
//	                                  reclassified         resolved ──same again──> open
//
// Evidence is gathered from digests of traces (digest.go, evidence.go): how the abnormal concentrates in each value of each
// dimension, what changed near the onset, an abnormal beside its nearest normal example, similar earlier incidents. Explainers
// may claim nothing else.
package engine
