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
	if r.Verdict != engine.TruePositive && r.Verdict != engine.FalsePositive {
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
	if request.By == "" {
		request.By = caller(c)
	}
	feedback := engine.Feedback{
		ID: uuid.NewString(), At: time.Now().UTC(), AnomalyID: request.AnomalyID, Incident: request.IncidentID,
		Verdict: request.Verdict, By: request.By, KeyID: callerID(c), Comment: request.Comment,
	}
	if feedback, err = s.deps.Feedbacks.AddFeedback(c.Request.Context(), feedback); err != nil {
		return err
	}
	return reply(c, http.StatusCreated, feedback)
}

// undoFeedback takes a word back. It stays listed, as taken back.
func (s *Server) undoFeedback(c *gin.Context) error {
	id := c.Param("id")
	if err := checkText("id", id, maxName); err != nil {
		return err
	}
	feedback, err := s.deps.Feedbacks.UndoFeedback(c.Request.Context(), id, callerID(c), caller(c))
	if err != nil {
		return err
	}
	return reply(c, http.StatusOK, feedback)
}

// lessonsResponse is what people's words teach.
type lessonsResponse struct {
	Items      []engine.Lesson          `json:"items"` // newest first
	Thresholds []engine.SeriesThreshold `json:"thresholds"`
}

func (s *Server) listLessons(c *gin.Context) error {
	lessons, thresholds := s.deps.Feedbacks.Lessons()
	return reply(c, http.StatusOK, lessonsResponse{Items: filled(lessons), Thresholds: filled(thresholds)})
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
