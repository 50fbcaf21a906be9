package api

import (
	"crypto/rand"
	"encoding/json"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Bounds of what a caller may state about one call.
const (
	maxLatency = 365 * 24 * time.Hour
	maxTokens  = 1 << 40
	maxCost    = 1e12
)

type detectRequest struct {
	Metrics map[string]json.RawMessage `json:"metrics"`
	Context detectContext              `json:"context"`
}

type detectContext struct {
	Service   string `json:"service"`
	Operation string `json:"operation"`
	Model     string `json:"model"`
	Provider  string `json:"provider"`
	User      string `json:"user"`
	Tenant    string `json:"tenant"`
	APIKey    string `json:"api_key"`
	Agent     string `json:"agent"`
	Tool      string `json:"tool"`
	Region    string `json:"region"`
	Prompt    string `json:"prompt"`
	Response  string `json:"response"`
}

type detectResponse struct {
	IsAnomaly     bool                  `json:"is_anomaly"`
	Score         float64               `json:"score"`
	Explanation   string                `json:"explanation"`
	Type          engine.AnomalyType    `json:"type,omitempty"`
	Severity      engine.Severity       `json:"severity,omitempty"`
	P             float64               `json:"p"`
	Alpha         float64               `json:"alpha"`
	Contributions []engine.Contribution `json:"contributions"`
	Learning      []string              `json:"learning,omitempty"`
}

// detect judges one call that its caller describes, as a trace of one span.
func (s *Server) detect(c *gin.Context) error {
	body, err := s.readJSON(c, false)
	if err != nil {
		return err
	}
	var request detectRequest
	if err := decodeJSON(body, &request); err != nil {
		return err
	}
	span, err := request.span(time.Now().UTC())
	if err != nil {
		return err
	}
	_, _ = rand.Read(span.TraceID[:])
	_, _ = rand.Read(span.SpanID[:])
	verdict, err := s.deps.Scorer.Score(c.Request.Context(), engine.NewTrace(span.TraceID, []engine.Span{span}))
	if err != nil {
		return err
	}
	return reply(c, http.StatusOK, detectResponse{
		IsAnomaly: verdict.Anomalous, Score: verdict.Score, Explanation: verdict.Reason, Type: verdict.Type, Severity: verdict.Severity,
		P: verdict.P, Alpha: verdict.Alpha, Contributions: filled(verdict.Contributions), Learning: verdict.Learning,
	})
}

// span describes the call as one that ended just now.
func (r detectRequest) span(now time.Time) (engine.Span, error) {
	if len(r.Metrics) == 0 && r.Context.Prompt == "" && r.Context.Response == "" {
		return engine.Span{}, invalidField("metrics", "at least one metric, or a prompt or response in context, is needed")
	}
	if err := r.Context.validate(); err != nil {
		return engine.Span{}, err
	}
	context := r.Context
	span := engine.Span{
		Service: context.Service, Operation: engine.Operation(context.Operation), Model: context.Model, Provider: context.Provider,
		Region: context.Region, User: context.User, Tenant: context.Tenant, APIKey: context.APIKey,
		Agent: engine.Agent{Name: context.Agent}, Tool: engine.Tool{Name: context.Tool},
		Input: message("user", context.Prompt), Output: message("assistant", context.Response),
	}
	if span.Service == "" {
		span.Service = "unknown_service"
	}
	if span.Operation == "" {
		span.Operation = engine.OpChat
		if span.Tool.Name != "" {
			span.Operation = engine.OpExecuteTool
		}
	}
	span.Name = strings.TrimSpace(string(span.Operation) + " " + span.Model + span.Tool.Name)

	latency, err := setMetrics(&span, r.Metrics)
	if err != nil {
		return engine.Span{}, err
	}
	span.Start, span.End = now.Add(-latency), now
	return span, nil
}

func (x detectContext) validate() error {
	for _, name := range []struct{ field, value string }{
		{"service", x.Service}, {"operation", x.Operation}, {"model", x.Model}, {"provider", x.Provider}, {"user", x.User},
		{"tenant", x.Tenant}, {"api_key", x.APIKey}, {"agent", x.Agent}, {"tool", x.Tool}, {"region", x.Region},
	} {
		if err := checkText("context."+name.field, name.value, maxName); err != nil {
			return err
		}
	}
	// Their length is bounded by the body's.
	if err := checkText("context.prompt", x.Prompt, math.MaxInt); err != nil {
		return err
	}
	return checkText("context.response", x.Response, math.MaxInt)
}

// setMetrics fills in what the metrics say and returns the latency.
func setMetrics(span *engine.Span, metrics map[string]json.RawMessage) (time.Duration, error) {
	if metrics["latency_ms"] != nil && metrics["latency_seconds"] != nil {
		return 0, invalidField("metrics.latency_ms", "latency_seconds says it already")
	}
	var latency time.Duration
	for name, raw := range metrics {
		field := "metrics." + name
		value, err := number(field, raw)
		if err != nil {
			return 0, err
		}
		switch name {
		case "latency_ms":
			latency, err = duration(field, value, time.Millisecond)
		case "latency_seconds":
			latency, err = duration(field, value, time.Second)
		case "time_to_first_chunk_ms":
			span.TimeToFirstChunk, err = duration(field, value, time.Millisecond)
		case "input_tokens":
			span.Usage.Input, err = count(field, value)
		case "output_tokens":
			span.Usage.Output, err = count(field, value)
		case "cost":
			if value > maxCost {
				err = invalidField(field, "%g is above %g", value, maxCost)
			}
			span.Usage.Cost = value
		case "error":
			if value != 0 && value != 1 {
				err = invalidField(field, "%g is neither 0 nor 1", value)
			}
			if value == 1 {
				span.Failed, span.ErrorType = true, "_OTHER" // the conventions' word for an error of no known class
			}
		default:
			err = invalidField(field, "unknown metric")
		}
		if err != nil {
			return 0, err
		}
	}
	return latency, nil
}

// number reads a finite number that is not negative; JSON itself has no NaN.
func number(field string, raw json.RawMessage) (float64, error) {
	var value *float64
	if err := json.Unmarshal(raw, &value); err != nil || value == nil {
		return 0, invalidField(field, "want a finite number")
	}
	if *value < 0 {
		return 0, invalidField(field, "%g is negative", *value)
	}
	return *value, nil
}

func duration(field string, value float64, unit time.Duration) (time.Duration, error) {
	if value > float64(maxLatency/unit) {
		return 0, invalidField(field, "%g is longer than %s", value, maxLatency)
	}
	return time.Duration(value * float64(unit)), nil
}

func count(field string, value float64) (int64, error) {
	if value != math.Trunc(value) || value > maxTokens {
		return 0, invalidField(field, "%g is not a whole number up to %d", value, int64(maxTokens))
	}
	return int64(value), nil
}

func message(role, text string) []engine.Message {
	if text == "" {
		return nil
	}
	return []engine.Message{{Role: role, Parts: []engine.Part{{Kind: engine.PartText, Text: text}}}}
}
