// Package agentruns measures whether runs of agents that failed look unusual, and whether the engine finds the step and the agent that
// made them fail.
//
//	agent_runs.jsonl.gz ──> runs ──> traces ──Learn (other folds)──> pipeline ──Score──> verdict ─┬─ p ──> AUROC of the outcome
//	                         │                                                                    └─ span ──> step, agent ──> accuracy
//	                         └──> run length, always step 1, the first step, the most frequent agent ────────────────────┘
//
// What is measured is the verdict as it is served: the suite adds no rule of its own about what a failure looks like.
package agentruns
