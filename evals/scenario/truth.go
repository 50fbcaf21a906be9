package scenario

import "time"

// Truth is what really was wrong in one incident. It marshals to one line of a ground-truth log.
type Truth struct {
	ID       string    `json:"id"`
	Type     string    `json:"type"`    // anomaly type
	Subject  string    `json:"subject"` // the service, provider, user, key or agent that misbehaves
	Cause    Cause     `json:"cause"`
	Services []string  `json:"services"` // services whose traffic is touched, sorted
	Onset    time.Time `json:"onset"`
	End      time.Time `json:"end"`
}

// Cause is the root cause of an incident.
type Cause struct {
	Kind    string `json:"kind"` // model_version, provider, user, api_key, agent_version or topic
	Subject string `json:"subject"`
}

// Marker is a change that a delivery pipeline or model registry reports.
type Marker struct {
	At          time.Time `json:"at"`
	Kind        string    `json:"kind"` // deployment, model_version, prompt_version or rollback
	Service     string    `json:"service"`
	Version     string    `json:"version"`  // what runs from now on
	Previous    string    `json:"previous"` // what ran before
	Description string    `json:"description"`
}
