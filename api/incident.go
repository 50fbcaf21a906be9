package api

import (
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// actionRequest says who decided something about an incident, and why.
type actionRequest struct {
	By   string `json:"by"` // the name of the API key when left out
	Note string `json:"note"`
}

func (s *Server) getIncident(c *gin.Context) error {
	id, err := incidentID(c)
	if err != nil {
		return err
	}
	incident, err := s.deps.Listing.Incident(c.Request.Context(), id)
	if err != nil {
		return err
	}
	incident.Timeline = withChanges(incident)
	return reply(c, http.StatusOK, complete(incident))
}

// withChanges is the timeline with the change markers of the evidence in it, in order of time.
func withChanges(in engine.Incident) []engine.TimelineEntry {
	if in.Evidence == nil || len(in.Evidence.Markers) == 0 {
		return in.Timeline
	}
	entries := slices.Clone(in.Timeline)
	for _, m := range in.Evidence.Markers {
		what := strings.Join(strings.Fields(strings.Join([]string{m.Service, m.Subject, m.Version}, " ")), " ")
		if m.Previous != "" {
			what += ", before " + m.Previous
		}
		if m.Description != "" {
			what += ": " + m.Description
		}
		entries = append(entries, engine.TimelineEntry{At: m.At, Event: string(m.Kind), By: m.Source, Note: what})
	}
	slices.SortStableFunc(entries, func(a, b engine.TimelineEntry) int { return a.At.Compare(b.At) })
	return entries
}

func (s *Server) acknowledge(c *gin.Context) error {
	return s.act(c, func(id string, r actionRequest) (engine.Incident, error) {
		return s.deps.Lifecycle.Acknowledge(c.Request.Context(), id, r.By, r.Note)
	})
}

func (s *Server) resolve(c *gin.Context) error {
	return s.act(c, func(id string, r actionRequest) (engine.Incident, error) {
		return s.deps.Lifecycle.Resolve(c.Request.Context(), id, r.By, r.Note)
	})
}

func (s *Server) explain(c *gin.Context) error {
	return s.act(c, func(id string, _ actionRequest) (engine.Incident, error) {
		return s.deps.Lifecycle.Explain(c.Request.Context(), id)
	})
}

// act reads what an action needs, does it, and answers with the incident as it is then.
func (s *Server) act(c *gin.Context, do func(id string, r actionRequest) (engine.Incident, error)) error {
	id, err := incidentID(c)
	if err != nil {
		return err
	}
	body, err := s.readJSON(c, true)
	if err != nil {
		return err
	}
	var request actionRequest
	if body != nil {
		if err := decodeJSON(body, &request); err != nil {
			return err
		}
	}
	if err := checkText("by", request.By, maxName); err != nil {
		return err
	}
	if err := checkText("note", request.Note, maxNote); err != nil {
		return err
	}
	if request.By == "" {
		request.By = caller(c)
	}
	incident, err := do(id, request)
	if err != nil {
		return err
	}
	return reply(c, http.StatusOK, complete(incident))
}

func incidentID(c *gin.Context) (string, error) {
	id := c.Param("id")
	return id, checkText("id", id, maxName)
}

// complete returns the incident with empty arrays where it has none. What the incident points to is copied, not changed.
func complete(in engine.Incident) engine.Incident {
	in.Services, in.Traces, in.Timeline = filled(in.Services), filled(in.Traces), filled(in.Timeline)
	if in.Evidence != nil {
		evidence := *in.Evidence
		evidence.Changes, evidence.Slices = filled(evidence.Changes), filled(evidence.Slices)
		in.Evidence = &evidence
	}
	if in.Explanation != nil {
		explanation := *in.Explanation
		explanation.Citations = filled(explanation.Citations)
		explanation.Hypotheses = make([]engine.Hypothesis, len(in.Explanation.Hypotheses))
		for i, hypothesis := range in.Explanation.Hypotheses {
			hypothesis.Citations = filled(hypothesis.Citations)
			explanation.Hypotheses[i] = hypothesis
		}
		explanation.Recommendations = make([]engine.Recommendation, len(in.Explanation.Recommendations))
		for i, recommendation := range in.Explanation.Recommendations {
			recommendation.Citations = filled(recommendation.Citations)
			explanation.Recommendations[i] = recommendation
		}
		in.Explanation = &explanation
	}
	return in
}
