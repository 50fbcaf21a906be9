package api

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

type feedbackRequest struct {
	AnomalyID  string `json:"anomaly_id"`
	IncidentID string `json:"incident_id"`
	Verdict    string `json:"verdict"`
	By         string `json:"by"`
	Comment    string `json:"comment"`
}

func (r feedbackRequest) validate() error {
	for _, text := range []struct {
		field, value string
		limit        int
	}{
		{"anomaly_id", r.AnomalyID, maxName},
		{"incident_id", r.IncidentID, maxName},
		{"by", r.By, maxName},
		{"comment", r.Comment, maxNote},
	} {
		if err := checkText(text.field, text.value, text.limit); err != nil {
			return err
		}
	}
	if (r.AnomalyID == "") == (r.IncidentID == "") {
		return invalidField("incident_id", "exactly one of incident_id and anomaly_id is needed")
	}
	if r.Verdict != "true_positive" && r.Verdict != "false_positive" {
		return invalidField("verdict", "want true_positive or false_positive")
	}
	return nil
}

func (s *Server) addFeedback(c *gin.Context) error {
	body, err := s.readJSON(c, false)
	if err != nil {
		return err
	}
	var request feedbackRequest
	if err := decodeJSON(body, &request); err != nil {
		return err
	}
	if err := request.validate(); err != nil {
		return err
	}
	if err := s.checkSubject(c, request); err != nil {
		return err
	}
	if request.By == "" {
		request.By = caller(c)
	}
	feedback := engine.Feedback{
		ID: uuid.NewString(), At: time.Now().UTC(), AnomalyID: request.AnomalyID, Incident: request.IncidentID,
		Verdict: request.Verdict, By: request.By, Comment: request.Comment,
	}
	if err := s.deps.Feedbacks.AddFeedback(c.Request.Context(), feedback); err != nil {
		return err
	}
	return reply(c, http.StatusCreated, feedback)
}

// checkSubject refuses feedback on what is not there: it would teach nothing, and its sender would not know.
func (s *Server) checkSubject(c *gin.Context, r feedbackRequest) (err error) {
	if r.IncidentID != "" {
		_, err = s.deps.Listing.Incident(c.Request.Context(), r.IncidentID)
	} else {
		_, err = s.deps.Listing.Anomaly(c.Request.Context(), r.AnomalyID)
	}
	return err
}

func (s *Server) listFeedback(c *gin.Context) error {
	cursor, limit, err := parsePage(c.Request.URL.RawQuery)
	if err != nil {
		return err
	}
	page, err := s.deps.Feedbacks.Feedback(c.Request.Context(), cursor, limit)
	if err != nil {
		return err
	}
	page.Items = filled(page.Items)
	return reply(c, http.StatusOK, page)
}
