package api

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

type trendsResponse struct {
	Topics []engine.Topic       `json:"topics"` // the largest of a service first
	Series []engine.SeriesTrend `json:"series"`
}

func (s *Server) listTrends(c *gin.Context) error {
	values, err := queryValues(c.Request.URL.RawQuery, "service")
	if err != nil {
		return err
	}
	topics, series := s.deps.Trends.Trends(values["service"])
	response := trendsResponse{Topics: make([]engine.Topic, len(topics)), Series: filled(series)}
	for i, t := range topics {
		t.Terms, t.History = filled(t.Terms), filled(t.History)
		response.Topics[i] = t
	}
	return reply(c, http.StatusOK, response)
}
