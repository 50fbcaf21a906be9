package api

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Bounds of the details of a security event.
const (
	maxDetails = 64
	maxDetail  = 4096 // bytes of one
)

// securityRequest tells of one event of a guard.
type securityRequest struct {
	ID        string                     `json:"id"`        // follows from the content when left out
	Timestamp string                     `json:"timestamp"` // RFC 3339; now when left out
	Type      string                     `json:"type"`
	Severity  engine.Severity            `json:"severity"`
	Service   string                     `json:"service"`
	User      string                     `json:"user"`
	APIKey    string                     `json:"api_key"`
	TraceID   string                     `json:"trace_id"`
	Details   map[string]json.RawMessage `json:"details"`
}

// addSecurityEvents takes one event or an array of them and answers once their effects are stored.
func (s *Server) addSecurityEvents(c *gin.Context) error {
	body, err := s.readJSON(c, false)
	if err != nil {
		return err
	}
	requests, single, err := decodeEvents[securityRequest](body)
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	events := make([]engine.SecurityEvent, len(requests))
	response := eventsResponse{IDs: make([]string, len(requests))}
	for i, request := range requests {
		if events[i], err = request.event(fieldPrefix(i, single), now); err != nil {
			return err
		}
		response.IDs[i] = events[i].ID
	}
	if err := s.store(c.Request.Context(), engine.Batch{Events: events}); err != nil {
		return err
	}
	return reply(c, http.StatusAccepted, response)
}

// event checks the request, whose fields are named behind prefix. Whom an event is about may stand in its details, where a guard
// that knows type, severity and details only puts it.
func (r securityRequest) event(prefix string, now time.Time) (engine.SecurityEvent, error) {
	details, err := r.details(prefix)
	if err != nil {
		return engine.SecurityEvent{}, err
	}
	event := engine.SecurityEvent{
		ID: r.ID, Type: r.Type, Severity: r.Severity, Details: details,
		Service: cmp.Or(r.Service, details["service"]),
		User:    cmp.Or(r.User, details["user"], details["user_id"]),
		APIKey:  cmp.Or(r.APIKey, details["api_key"], details["api_key_id"]),
	}
	for _, text := range []struct{ field, value string }{
		{"id", event.ID}, {"type", event.Type}, {"service", event.Service}, {"user", event.User}, {"api_key", event.APIKey},
	} {
		if err := checkText(prefix+text.field, text.value, maxName); err != nil {
			return engine.SecurityEvent{}, err
		}
	}
	if event.Type == "" {
		return engine.SecurityEvent{}, invalidField(prefix+"type", "is needed")
	}
	if event.Severity.Rank() < 0 {
		return engine.SecurityEvent{}, invalidField(prefix+"severity", "%q is not low, medium, high or critical", event.Severity)
	}
	if err := event.TraceID.UnmarshalText([]byte(cmp.Or(r.TraceID, details["trace_id"]))); err != nil {
		return engine.SecurityEvent{}, invalidField(prefix+"trace_id", "%v", err)
	}
	if event.At, err = parseTime(prefix+"timestamp", r.Timestamp); err != nil {
		return engine.SecurityEvent{}, err
	}
	if event.At.IsZero() {
		event.At = now
	}
	if event.ID == "" {
		content, err := json.Marshal(event)
		if err != nil {
			return engine.SecurityEvent{}, invalidField(prefix+"timestamp", "%v", err)
		}
		event.ID = uuid.NewSHA1(uuid.NameSpaceOID, content).String()
	}
	return event, nil
}

// details keeps texts as they are and all else as the JSON it is.
func (r securityRequest) details(prefix string) (map[string]string, error) {
	if len(r.Details) == 0 {
		return nil, nil
	}
	if len(r.Details) > maxDetails {
		return nil, invalidField(prefix+"details", "has %d fields; at most %d are taken", len(r.Details), maxDetails)
	}
	details := make(map[string]string, len(r.Details))
	for name, raw := range r.Details {
		if name == "" {
			return nil, invalidField(prefix+"details", "has a field without a name")
		}
		if err := checkText(prefix+"details", name, maxName); err != nil {
			return nil, err
		}
		var text string
		if json.Unmarshal(raw, &text) != nil {
			var compact bytes.Buffer
			if err := json.Compact(&compact, raw); err != nil {
				return nil, invalidField(prefix+"details."+name, "%v", err)
			}
			text = compact.String()
		}
		if err := checkText(prefix+"details."+name, text, maxDetail); err != nil {
			return nil, err
		}
		details[name] = text
	}
	return details, nil
}
