// Package topics measures whether a change of what users ask is noticed, and whether calm is left alone.
//
//	prompts.jsonl.gz, invented assistants ──> topics ──> streams, each with a calm twin ──Play──> pipeline ──Anomalies──> scores ──> metrics
//	                                                        └──> chi-square of words, unseen words by hour ────────────────────┘
//
// A stream is days of prompts of one service by many users: a mixture of topics, and from one moment on another mixture. Its twin has the
// same history and goes on as before. The pipeline that serves plays each from its first prompt to its last; what counts is the anomalies
// of type topic_drift that it stored. The suite never looks at how a detector works, and without one shows the trivial baselines alone.
package topics
