package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

const maxMarkers = 1000 // in one request

// markerRequest tells of one change.
type markerRequest struct {
	Timestamp   string            `json:"timestamp"` // RFC 3339; now when left out
	Kind        engine.MarkerKind `json:"kind"`
	Service     string            `json:"service"`
	Subject     string            `json:"subject"`
	Version     string            `json:"version"`
	Previous    string            `json:"previous"`
	Description string            `json:"description"`
}

type markersResponse struct {
	IDs []string `json:"ids"` // in the order of the request
}

func (s *Server) addDeployments(c *gin.Context) error {
	return s.addMarkers(c, engine.MarkerDeployment,
		engine.MarkerDeployment, engine.MarkerRollback, engine.MarkerConfiguration, engine.MarkerPromptVersion, engine.MarkerModelVersion)
}

func (s *Server) addModelVersions(c *gin.Context) error {
	return s.addMarkers(c, engine.MarkerModelVersion, engine.MarkerModelVersion)
}

// addMarkers takes one change or an array of them and answers once they are stored.
func (s *Server) addMarkers(c *gin.Context, kind engine.MarkerKind, allowed ...engine.MarkerKind) error {
	body, err := s.readJSON(c, false)
	if err != nil {
		return err
	}
	requests, single, err := decodeMarkers(body)
	if err != nil {
		return err
	}
	source := caller(c)
	if source == "" {
		source = "api"
	}
	now := time.Now().UTC()
	markers := make([]engine.ChangeMarker, len(requests))
	response := markersResponse{IDs: make([]string, len(requests))}
	for i, request := range requests {
		field := ""
		if !single {
			field = fmt.Sprintf("[%d].", i)
		}
		if request.Kind == "" {
			request.Kind = kind
		}
		if markers[i], err = request.marker(field, now, allowed); err != nil {
			return err
		}
		markers[i].Source = source
		response.IDs[i] = markers[i].ID
	}
	if err := s.store(c.Request.Context(), engine.Batch{Markers: markers}); err != nil {
		return err
	}
	return reply(c, http.StatusAccepted, response)
}

func decodeMarkers(body []byte) (requests []markerRequest, single bool, err error) {
	if body[0] != '[' {
		requests = make([]markerRequest, 1)
		return requests, true, decodeJSON(body, &requests[0])
	}
	if err := decodeJSON(body, &requests); err != nil {
		return nil, false, err
	}
	if len(requests) == 0 {
		return nil, false, engine.Errorf(engine.CodeInvalid, "the array is empty")
	}
	if len(requests) > maxMarkers {
		return nil, false, engine.Errorf(engine.CodeTooLarge, "the array has %d changes; at most %d are taken at once", len(requests), maxMarkers)
	}
	return requests, false, nil
}

// marker checks the request, whose fields are named behind prefix. The id follows from the content: the same change told twice
// with its time is one marker.
func (r markerRequest) marker(prefix string, now time.Time, allowed []engine.MarkerKind) (engine.ChangeMarker, error) {
	for _, text := range []struct {
		field, value string
		limit        int
		needed       bool
	}{
		{"service", r.Service, maxName, true},
		{"subject", r.Subject, maxName, false},
		{"version", r.Version, maxName, true},
		{"previous", r.Previous, maxName, false},
		{"description", r.Description, maxNote, false},
	} {
		if text.needed && text.value == "" {
			return engine.ChangeMarker{}, invalidField(prefix+text.field, "is needed")
		}
		if err := checkText(prefix+text.field, text.value, text.limit); err != nil {
			return engine.ChangeMarker{}, err
		}
	}
	known := false
	for _, kind := range allowed {
		known = known || r.Kind == kind
	}
	if !known {
		return engine.ChangeMarker{}, invalidField(prefix+"kind", "%q is not one of %v", r.Kind, allowed)
	}
	at, err := parseTime(prefix+"timestamp", r.Timestamp)
	if err != nil {
		return engine.ChangeMarker{}, err
	}
	if at.IsZero() {
		at = now
	}
	marker := engine.ChangeMarker{
		At: at, Kind: r.Kind, Service: r.Service, Subject: r.Subject, Version: r.Version, Previous: r.Previous, Description: r.Description,
	}
	content, err := json.Marshal(marker)
	if err != nil {
		return engine.ChangeMarker{}, invalidField(prefix+"timestamp", "%v", err)
	}
	marker.ID = uuid.NewSHA1(uuid.NameSpaceOID, content).String()
	return marker, nil
}

// store hands a batch to the engine and waits until its effects are stored.
func (s *Server) store(ctx context.Context, batch engine.Batch) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.EventTimeout)
	defer cancel()
	done := make(chan error, 1)
	batch.Done = func(err error) { done <- err }
	if err := s.deps.Sink.Consume(ctx, batch); err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("api: store events: %w", ctx.Err())
	}
}
