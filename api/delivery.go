package api

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

type redeliverResponse struct {
	AlertID  string               `json:"alert_id"`
	Receiver string               `json:"receiver"`
	State    engine.DeliveryState `json:"state"`
}

var errNoReceivers = engine.Errorf(engine.CodeNotFound, "no receivers of alerts are configured")

// listDead lists the deliveries that were given up, latest first. As in listIncidents, evidence and explanation are left out.
func (s *Server) listDead(c *gin.Context) error {
	if s.deps.DeadLetters == nil {
		return errNoReceivers
	}
	cursor, limit, err := parsePage(c.Request.URL.RawQuery)
	if err != nil {
		return err
	}
	page, err := s.deps.DeadLetters.DeadDeliveries(c.Request.Context(), cursor, limit)
	if err != nil {
		return err
	}
	items := make([]engine.Delivery, len(page.Items))
	for i, delivery := range page.Items {
		delivery.Alert.Incident.Evidence, delivery.Alert.Incident.Explanation = nil, nil
		delivery.Alert.Incident = complete(delivery.Alert.Incident)
		items[i] = delivery
	}
	page.Items = items
	return reply(c, http.StatusOK, page)
}

// redeliver makes a delivery that was given up wait again.
func (s *Server) redeliver(c *gin.Context) error {
	if s.deps.DeadLetters == nil {
		return errNoReceivers
	}
	response := redeliverResponse{AlertID: c.Param("alert_id"), Receiver: c.Param("receiver"), State: engine.DeliveryWaiting}
	if err := checkText("alert_id", response.AlertID, maxName); err != nil {
		return err
	}
	if err := checkText("receiver", response.Receiver, maxName); err != nil {
		return err
	}
	if err := s.deps.DeadLetters.Redeliver(c.Request.Context(), response.AlertID, response.Receiver, time.Now().UTC()); err != nil {
		return err
	}
	return reply(c, http.StatusAccepted, response)
}
