// Package hook reads the webhooks of code hosts, deployers and model registries and makes change markers of them.
//
// Flowing in are deliveries of GitHub, GitLab, Argo CD and MLflow as those send them: a header and a body. Flowing out are
// markers with ids that follow from what a delivery is about, so that one that is sent again, or by two webhooks, is the same
// marker. Whose delivery it is, is checked first and in constant time; a source without a secret is refused, never open.
//
// Only what changes what runs is a marker: a deployment that succeeded, a release, a synced application, a version in a model
// or prompt registry. All else is accepted and named as ignored, for senders retry what is refused.
//
// The package does no I/O, keeps nothing, and has no clock: the caller says what time it is.
package hook
