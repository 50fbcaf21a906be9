package api

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

const (
	maxTraces     = 1000 // judged in one request
	maxRejections = 5    // told in words; the rest is counted
)

type tracesResponse struct {
	Traces   []engine.Verdict `json:"traces"`
	Rejected int              `json:"rejected"` // spans
	Message  string           `json:"message,omitempty"`
}

// scoreTraces judges each trace of an OTLP request at once. Nothing is kept and nothing learns from it.
func (s *Server) scoreTraces(c *gin.Context) error {
	media, err := mediaType(c.Request, mediaJSON, mediaProtobuf)
	if err != nil {
		return err
	}
	encoding := strings.ToLower(c.GetHeader("Content-Encoding"))
	if encoding == "identity" {
		encoding = ""
	}
	if encoding != "" && encoding != "gzip" {
		return httpError{problemMediaType, fmt.Sprintf("Content-Encoding is %q; want gzip or none", encoding)}
	}
	body, err := readBody(c, s.cfg.MaxBodyBytes)
	if err != nil {
		return err
	}
	spans, rejections, err := s.deps.Decoder.DecodeTraces(media, encoding, body)
	if err != nil {
		return err
	}
	traces := engine.Traces(spans)
	if len(traces) > maxTraces {
		return engine.Errorf(engine.CodeTooLarge, "the request has %d traces; at most %d are judged at once", len(traces), maxTraces)
	}
	response := tracesResponse{Traces: make([]engine.Verdict, 0, len(traces)), Rejected: len(rejections), Message: summarize(rejections)}
	for _, trace := range traces {
		verdict, err := s.deps.Scorer.Score(c.Request.Context(), trace)
		if err != nil {
			return err
		}
		verdict.Contributions = filled(verdict.Contributions)
		response.Traces = append(response.Traces, verdict)
	}
	return reply(c, http.StatusOK, response)
}

func summarize(rejections []string) string {
	if len(rejections) <= maxRejections {
		return strings.Join(rejections, "; ")
	}
	return fmt.Sprintf("%s; and %d more", strings.Join(rejections[:maxRejections], "; "), len(rejections)-maxRejections)
}
