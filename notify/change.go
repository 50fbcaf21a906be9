package notify

import (
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// ChangeEscalated is the alert of an incident that nobody acknowledged in time, as it goes to further receivers. All other changes
// are the engine's.
const ChangeEscalated = "escalated"

// changes are what a route can be limited to.
var changes = []string{
	engine.ChangeRaised, engine.ChangeRaisedAgain, engine.ChangeReclassified, engine.ChangeWorsened, engine.ChangeExplained,
	engine.ChangeAcknowledged, engine.ChangeResolved, engine.ChangeAnomaly,
}

// begins reports whether the change asks for somebody to look, and so begins the wait for an escalation.
func begins(change string) bool {
	return change == engine.ChangeRaised || change == engine.ChangeRaisedAgain || change == engine.ChangeReclassified
}

// whole gives the alert of a single anomaly the form of the others: an incident of its own, so that routes, order and messages need
// not tell them apart.
func whole(a engine.Alert) engine.Alert {
	x := a.Anomaly
	if x == nil {
		return a
	}
	a.Incident = engine.Incident{
		ID: x.ID, Type: x.Type, Severity: x.Severity, Status: engine.StatusOpen, Title: x.Reason, Subject: x.Subject,
		Onset: x.At.Add(-max(x.Window, time.Nanosecond)), LastSeen: x.At, Score: x.Score, Effect: x.Effect, Traces: x.Traces,
	}
	if x.Service != "" {
		a.Incident.Services = []string{x.Service}
	}
	return a
}
