package engine

import "time"

// AnomalyQuery selects stored anomalies, newest first. Empty fields do not restrict.
type AnomalyQuery struct {
	From, To    time.Time // From <= At < To
	Service     string
	Type        AnomalyType
	MinSeverity Severity
	IncidentID  string
	Cursor      string // as returned with the page before; "" starts
	Limit       int    // 1 to 1000; 0 means 100
}

// IncidentQuery selects stored incidents, newest onset first. Empty fields do not restrict.
type IncidentQuery struct {
	From, To    time.Time // the incident's onset..last seen overlaps From <= t < To
	Service     string
	Type        AnomalyType
	MinSeverity Severity
	Status      Status
	Cursor      string
	Limit       int
}

// Page is one page of a listing. Next is "" on the last one.
type Page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next_cursor,omitempty"`
}

// APIKey is a key of the REST API. Only a hash of the secret is kept.
type APIKey struct {
	ID       string     `json:"id"`
	Name     string     `json:"name"`
	Hash     []byte     `json:"-"`     // SHA-256 of the secret, which is 32 random bytes
	Scope    string     `json:"scope"` // "ingest" sends telemetry and events, "read" reads, "admin" does all
	Created  time.Time  `json:"created"`
	LastUsed *time.Time `json:"last_used,omitempty"`
	Revoked  *time.Time `json:"revoked,omitempty"`
}

// LearningState says how far a detector of a series has come.
type LearningState struct {
	Series   SeriesKey `json:"series"`
	Detector string    `json:"detector"`
	Learning bool      `json:"learning"`
	Seen     uint64    `json:"seen"`
	Needed   uint64    `json:"needed"`
	Baseline Effect    `json:"baseline,omitzero"` // the median or rate it holds to be normal
}

// ServiceHealth sums a service up.
type ServiceHealth struct {
	Service   string          `json:"service"`
	Score     float64         `json:"health_score"` // 1 is calm; falls with open incidents by severity
	LastSeen  time.Time       `json:"last_seen"`
	Spans     uint64          `json:"spans"`
	Learning  []LearningState `json:"series"`
	Incidents int             `json:"open_incidents"`
	Alpha     float64         `json:"alpha"`
}
