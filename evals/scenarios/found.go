package scenarios

import (
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/evals/scenario"
)

// MatchSlack is by how much an incident may outlast what caused it: requests under way end later.
const MatchSlack = 20 * time.Minute

// Found is an incident as scenario.Match compares it, with the first hypothesis of its note as its cause.
func Found(in engine.Incident) scenario.Found {
	f := scenario.Found{ID: in.ID, Type: string(in.Type), Subject: in.Subject.Value, Start: in.Onset, End: in.LastSeen}
	if e := in.Explanation; e != nil && len(e.Hypotheses) > 0 {
		f.CauseKind, f.CauseSubject = e.Hypotheses[0].Cause.Kind, e.Hypotheses[0].Cause.Value
	}
	return f
}

// raised is the event time at which somebody was first told of the incident at or after a time; that time where it was open already.
func raised(in engine.Incident, from time.Time) time.Time {
	for _, e := range in.Timeline {
		switch e.Event {
		case "raised", "raised again", "reclassified":
			if !e.At.Before(from) {
				return e.At
			}
		}
	}
	return from
}

// Match is a true incident and what was raised for it.
type Match struct {
	Truth    scenario.Truth
	Incident engine.Incident
}

// Matches pairs the true incidents of the day that were found with what was raised, by onset.
func (p Played) Matches() []Match {
	found := make([]scenario.Found, len(p.Incidents))
	byID := make(map[string]engine.Incident, len(p.Incidents))
	for i, in := range p.Incidents {
		found[i], byID[in.ID] = Found(in), in
	}
	var out []Match
	for _, pair := range scenario.Match(p.Truths, found, MatchSlack).Matches {
		out = append(out, Match{pair.Truth, byID[pair.Found.ID]})
	}
	return out
}
