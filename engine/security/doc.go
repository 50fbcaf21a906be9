// Package security finds patterns in the events of guards in front of an application: LLM firewalls, API gateways, identity providers.
// One event is a guard's word; what it means shows when it is held against the other events of the same key, user, session, address or
// tenant, against what others do, and against what the model answered.
//
// In flow security events (Observe), complete traces (Answered) and the watermark (Advance); out flow findings of type
// security_pattern whose series names the pattern as its operation:
//
//	campaign              far more attacks of one subject in a window than its own past and its peers' lead to expect
//	distributed_campaign  attacks with one signature, from many, far above the signature's own past
//	event_volume          far more events of a service than its hour of day leads to expect, explained by neither of these
//	limit_burst           as campaign, of rate limits that were exceeded
//	failed_logins         as campaign, of logins that failed
//	account_takeover      a login that succeeded after such a burst of failures
//	repeated_violator     attacks on many more days than others who were caught once
//	unusual_use           attacks or logins of a key at an hour, from a place or with a client that are not its own
//	attack_answered       an attack that the guard let through and the model answered, where that hardly ever happens
//
// A burst is judged at the event that completes it, since events to come can only add to it: a finding does not wait for its window to
// close, and does not depend on when Advance is called. What is normal is learnt from windows that have passed and were calm.
//
// All runs on event time, and events may come late and out of order: by up to two windows for bursts, by days for repeated
// violators. An event with a known id counts once. Memory is bounded whatever the number of identities: those that account for most
// events are kept, by the Space-Saving sketch of statistical.HeavyHitters.
//
// The package never looks at what people wrote, keeps no clock of its own and does no I/O.
package security
