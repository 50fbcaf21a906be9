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
