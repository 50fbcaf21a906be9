package api

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

const (
	maxEvents      = 1000 // in one request
	maxEvaluations = 32   // of one version
)

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

// modelRequest tells of a version of a model or a prompt, and perhaps of how it was evaluated.
type modelRequest struct {
	markerRequest
	Evaluations map[string]float64 `json:"evaluations"` // results by the name of the measure
}

type eventsResponse struct {
	IDs []string `json:"ids"` // in the order of the request
}

func (s *Server) addDeployments(c *gin.Context) error {
	return addMarkers(s, c, func(r markerRequest, prefix string, now time.Time) (engine.ChangeMarker, error) {
		return r.marker(prefix, now,
			engine.MarkerDeployment, engine.MarkerRollback, engine.MarkerConfiguration, engine.MarkerPromptVersion, engine.MarkerModelVersion)
	})
}

func (s *Server) addModelVersions(c *gin.Context) error {
	return addMarkers(s, c, modelRequest.marker)
}

// addMarkers takes one change or an array of them and answers once they are stored.
func addMarkers[T any](s *Server, c *gin.Context, marker func(request T, prefix string, now time.Time) (engine.ChangeMarker, error)) error {
	body, err := s.readJSON(c, false)
	if err != nil {
		return err
	}
	requests, single, err := decodeEvents[T](body)
	if err != nil {
		return err
	}
	source := cmp.Or(caller(c), "api")
	now := time.Now().UTC()
	markers := make([]engine.ChangeMarker, len(requests))
	response := eventsResponse{IDs: make([]string, len(requests))}
	for i, request := range requests {
		if markers[i], err = marker(request, fieldPrefix(i, single), now); err != nil {
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

// decodeEvents reads one event or an array of them.
func decodeEvents[T any](body []byte) (requests []T, single bool, err error) {
	if body[0] != '[' {
		requests = make([]T, 1)
		return requests, true, decodeJSON(body, &requests[0])
	}
	if err := decodeJSON(body, &requests); err != nil {
		return nil, false, err
	}
	if len(requests) == 0 {
		return nil, false, engine.Errorf(engine.CodeInvalid, "the array is empty")
	}
	if len(requests) > maxEvents {
		return nil, false, engine.Errorf(engine.CodeTooLarge, "the array has %d events; at most %d are taken at once", len(requests), maxEvents)
	}
	return requests, false, nil
}

// fieldPrefix is what stands before the name of a field of the event at index i.
func fieldPrefix(i int, single bool) string {
	if single {
		return ""
	}
	return fmt.Sprintf("[%d].", i)
}

func (r modelRequest) marker(prefix string, now time.Time) (engine.ChangeMarker, error) {
	if len(r.Evaluations) > maxEvaluations {
		return engine.ChangeMarker{}, invalidField(prefix+"evaluations", "has %d results; at most %d are taken", len(r.Evaluations), maxEvaluations)
	}
	results := make([]string, 0, len(r.Evaluations))
	for _, name := range slices.Sorted(maps.Keys(r.Evaluations)) {
		if name == "" {
			return engine.ChangeMarker{}, invalidField(prefix+"evaluations", "has a result without a name")
		}
		if err := checkText(prefix+"evaluations", name, maxName); err != nil {
			return engine.ChangeMarker{}, err
		}
		results = append(results, fmt.Sprintf("%s %g", name, r.Evaluations[name]))
	}
	if len(results) > 0 {
		r.Description = strings.TrimPrefix(r.Description+"; evaluated: "+strings.Join(results, ", "), "; ")
	}
	return r.markerRequest.marker(prefix, now, engine.MarkerModelVersion, engine.MarkerPromptVersion, engine.MarkerRollback)
}

// marker checks the request, whose fields are named behind prefix. The id follows from the content: the same change told twice
// with its time is one marker. The kind is the first of those allowed when it is left out.
func (r markerRequest) marker(prefix string, now time.Time, allowed ...engine.MarkerKind) (engine.ChangeMarker, error) {
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
	if r.Kind == "" {
		r.Kind = allowed[0]
	}
	if !slices.Contains(allowed, r.Kind) {
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
