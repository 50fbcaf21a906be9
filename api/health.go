package api

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// The states of health.
const (
	HealthOK       = "ok"
	HealthDegraded = "degraded" // it works, with a part missing or work shed
	HealthStarting = "starting" // it does not take telemetry yet
)

// Health is how the process fares.
type Health struct {
	Status         string
	Uptime         time.Duration
	Version        string
	Degraded       []engine.Degradation
	Shed           map[string]uint64 // work that was dropped since the start, by what was dropped
	LearningSeries int               // series that have not seen enough yet
	Sampling       engine.Sampling
}

type healthResponse struct {
	Status  string  `json:"status"`
	Uptime  float64 `json:"uptime"` // seconds
	Version string  `json:"version"`
	*healthDetails
}

type healthDetails struct {
	Degraded       []engine.Degradation `json:"degraded"`
	Shed           map[string]uint64    `json:"shed"`
	LearningSeries int                  `json:"learning_series"`
	Sampling       engine.Sampling      `json:"sampling"`
}

// health is open to all, so that probes need no key; its details are for those who may look.
func (s *Server) health(c *gin.Context) error {
	health := s.deps.Health.Health()
	response := healthResponse{Status: health.Status, Uptime: health.Uptime.Seconds(), Version: health.Version}
	if key, err := s.identify(c); err == nil && permit(key, engine.ScopeRead) == nil {
		response.healthDetails = &healthDetails{
			Degraded: filled(health.Degraded), Shed: health.Shed, LearningSeries: health.LearningSeries,
			Sampling: health.Sampling,
		}
		if health.Shed == nil {
			response.Shed = map[string]uint64{}
		}
	}
	status := http.StatusOK
	if health.Status == HealthStarting {
		status = http.StatusServiceUnavailable
	}
	if c.Request.Method == http.MethodHead {
		c.Status(status)
		return nil
	}
	return reply(c, status, response)
}
