// Package topic follows what users ask: clusters of their prompts, and whether the mix of them drifts.
//
// In flow the embedded user prompts of the traces that were sampled, not of those that something flagged, which would distort the shares. Out flow findings of type topic_drift
// when a window of event time has closed, and the topics of each service for people to look at. Clusters are found online and bounded in number;
// their shares and their reference sample learn from calm windows only, and a user counts a few times a window at most.
//
// It never keeps more text than one redacted excerpt and the telling words of a cluster, and never compares vectors of two models.
package topic
