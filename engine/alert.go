package engine

import (
	"fmt"
	"strings"
	"time"
)

// Alert is what goes out when something happens to an incident or, where that is asked for, when there is an anomaly.
type Alert struct {
	ID       string    `json:"alert_id"`  // stable for one change of one incident, so that receivers dedupe
	At       time.Time `json:"timestamp"` // wall time
	Change   string    `json:"change"`    // one of the changes below
	Incident Incident  `json:"incident,omitzero"`
	Anomaly  *Anomaly  `json:"anomaly,omitempty"` // of ChangeAnomaly, which is about no incident
}

// What alerts tell. All but ChangeExplained and ChangeAnomaly are events of an incident's timeline too.
const (
	ChangeRaised       = "raised"
	ChangeRaisedAgain  = "raised again" // after it was resolved
	ChangeReclassified = "reclassified" // a cause took over the incident of its symptom
	ChangeWorsened     = "worsened"     // its severity rose
	ChangeExplained    = "explained"    // it has a note, or a new one
	ChangeAcknowledged = "acknowledged"
	ChangeResolved     = "resolved"
	ChangeAnomaly      = "anomaly"
)

// changed makes the alert of a change. Its number among the changes of the incident is stored with the incident, so that an id
// stands for one change whatever is processed again after a crash.
func (in *Incident) changed(change string, now time.Time) Alert {
	in.Changes++
	id := fmt.Sprintf("%s-%d-%s", in.ID, in.Changes, strings.ReplaceAll(change, " ", "-"))
	return Alert{ID: id, At: now, Change: change, Incident: *in}
}

// alert makes the alert of an anomaly.
func (a Anomaly) alert(now time.Time) Alert {
	return Alert{ID: "anomaly-" + a.ID, At: now, Change: ChangeAnomaly, Anomaly: &a}
}
