package api

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// filled gives clients an empty array where Go has a nil slice.
func filled[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func (s *Server) listAnomalies(c *gin.Context) error {
	q, err := parseAnomalyQuery(c.Request.URL.RawQuery)
	if err != nil {
		return err
	}
	page, err := s.deps.Listing.Anomalies(c.Request.Context(), q)
	if err != nil {
		return err
	}
	page.Items = filled(page.Items)
	return reply(c, http.StatusOK, page)
}

// listIncidents leaves evidence and explanations to getIncident: a page of them would weigh megabytes.
func (s *Server) listIncidents(c *gin.Context) error {
	q, err := parseIncidentQuery(c.Request.URL.RawQuery)
	if err != nil {
		return err
	}
	page, err := s.deps.Listing.Incidents(c.Request.Context(), q)
	if err != nil {
		return err
	}
	items := make([]engine.Incident, len(page.Items))
	for i, incident := range page.Items {
		incident.Evidence, incident.Explanation = nil, nil
		items[i] = complete(incident)
	}
	page.Items = items
	return reply(c, http.StatusOK, page)
}

func (s *Server) listServices(c *gin.Context) error {
	services := s.deps.Services.Services()
	items := make([]engine.ServiceHealth, len(services))
	for i, service := range services {
		service.Learning = filled(service.Learning)
		items[i] = service
	}
	return reply(c, http.StatusOK, engine.Page[engine.ServiceHealth]{Items: items})
}
