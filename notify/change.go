package notify

// What an alert tells of its incident. All but ChangeEscalated come from the engine.
const (
	ChangeRaised       = "raised"
	ChangeRaisedAgain  = "raised again"
	ChangeReclassified = "reclassified"
	ChangeExplained    = "explained"
	ChangeAcknowledged = "acknowledged"
	ChangeResolved     = "resolved"
	// ChangeEscalated is the alert of an incident that nobody acknowledged in time, as it goes to further receivers.
	ChangeEscalated = "escalated"
)

// changes are what a route can be limited to.
var changes = []string{ChangeRaised, ChangeRaisedAgain, ChangeReclassified, ChangeExplained, ChangeAcknowledged, ChangeResolved}

// begins reports whether the change asks for somebody to look, and so begins the wait for an escalation.
func begins(change string) bool {
	return change == ChangeRaised || change == ChangeRaisedAgain || change == ChangeReclassified
}
