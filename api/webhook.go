package api

import (
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/llm-sentinel/llm-sentinel/api/hook"
	"github.com/llm-sentinel/llm-sentinel/engine"
)

const mediaForm = "application/x-www-form-urlencoded"

// What a delivery of a webhook came to, as it is counted.
const (
	hookMarked  = "marked"
	hookIgnored = "ignored"
	hookPing    = "ping"
	hookRefused = "refused"
	hookFailed  = "failed" // it was right, and could not be stored
)

type hookResponse struct {
	IDs     []string `json:"ids"`               // of the markers
	Ignored string   `json:"ignored,omitempty"` // why there are none
}

// receiveHook takes deliveries of one source and answers once their markers are stored. Signature or token are all the access
// that is asked for.
func (s *Server) receiveHook(source string) gin.HandlerFunc {
	return s.answer(func(c *gin.Context) error {
		outcome, err := s.readHook(c, source)
		if err != nil {
			s.metrics.hooks.WithLabelValues(source, hookRefused).Inc()
			return err
		}
		response := hookResponse{IDs: []string{}, Ignored: outcome.Ignored}
		switch {
		case outcome.Ping:
			s.metrics.hooks.WithLabelValues(source, hookPing).Inc()
			return reply(c, http.StatusOK, response)
		case len(outcome.Markers) == 0:
			s.metrics.hooks.WithLabelValues(source, hookIgnored).Inc()
			return reply(c, http.StatusAccepted, response)
		}
		for _, marker := range outcome.Markers {
			response.IDs = append(response.IDs, marker.ID)
		}
		if err := s.store(c.Request.Context(), engine.Batch{Markers: outcome.Markers}); err != nil {
			s.metrics.hooks.WithLabelValues(source, hookFailed).Inc()
			return err
		}
		s.metrics.hooks.WithLabelValues(source, hookMarked).Inc()
		return reply(c, http.StatusAccepted, response)
	})
}

func (s *Server) readHook(c *gin.Context, source string) (hook.Outcome, error) {
	if err := s.deps.Hooks.Configured(source); err != nil {
		return hook.Outcome{}, err
	}
	allowed := []string{mediaJSON}
	if source == hook.GitHub {
		allowed = append(allowed, mediaForm)
	}
	if _, err := mediaType(c.Request, allowed...); err != nil {
		return hook.Outcome{}, err
	}
	body, err := readBody(c, s.cfg.MaxJSONBytes)
	if err != nil {
		return hook.Outcome{}, err
	}
	outcome, err := s.deps.Hooks.Read(source, c.Request.Header, body, time.Now())
	var field *hook.FieldError
	if errors.As(err, &field) {
		return outcome, fieldError{field.Field, field.Detail}
	}
	return outcome, err
}
