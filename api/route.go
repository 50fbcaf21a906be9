package api

import (
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/llm-sentinel/llm-sentinel/api/hook"
	"github.com/llm-sentinel/llm-sentinel/engine"
)

const base = "/api/v1"

const maxHookUploads = 8

// newRouter puts all routes together. Each says who may use it; openapi.yaml says what it takes and gives.
func (s *Server) newRouter() *gin.Engine {
	gin.SetMode(gin.ReleaseMode) // gin's other modes print to standard output
	router := gin.New()
	router.HandleMethodNotAllowed = true
	router.RedirectTrailingSlash = false
	router.UseRawPath = true // an id may contain an escaped slash
	router.Use(s.observe, secure, s.checkHost, s.checkOrigin)
	router.NoRoute(func(c *gin.Context) {
		s.fail(c, httpError{problemNotFound, "there is nothing at this path; GET /openapi.json lists what there is"})
	})
	router.NoMethod(func(c *gin.Context) {
		s.fail(c, httpError{problemMethodNotAllowed, "this path takes " + c.Writer.Header().Get("Allow")})
	})

	uploads := s.limit(s.cfg.MaxUploads)
	open := router.Group("")
	hooks := router.Group("", s.limit(maxHookUploads)) // slots of their own: these come from anybody
	ingest := router.Group("", s.authorize(engine.ScopeIngest), uploads)
	read := router.Group("", s.authorize(engine.ScopeRead))
	stream := router.Group("", streamKey, s.authorize(engine.ScopeRead))
	admin := router.Group("", s.authorize(engine.ScopeAdmin), uploads)

	ingest.POST(base+"/detect", s.answer(s.detect))
	ingest.POST(base+"/traces", s.answer(s.scoreTraces))
	ingest.POST(base+"/events/deployments", s.answer(s.addDeployments))
	ingest.POST(base+"/events/models", s.answer(s.addModelVersions))
	ingest.POST(base+"/events/security", s.answer(s.addSecurityEvents))
	if s.deps.OTLP != nil {
		for _, path := range []string{"/v1/traces", "/v1/logs", "/v1/metrics"} {
			ingest.POST(path, s.answer(s.receiveOTLP))
		}
	}

	read.GET(base+"/anomalies", s.answer(s.listAnomalies))
	read.GET(base+"/incidents", s.answer(s.listIncidents))
	read.GET(base+"/incidents/:id", s.answer(s.getIncident))
	read.GET(base+"/markers", s.answer(s.listMarkers))
	read.GET(base+"/feedback", s.answer(s.listFeedback))
	read.GET(base+"/feedback/lessons", s.answer(s.listLessons))
	read.GET(base+"/trends", s.answer(s.listTrends))
	read.GET(base+"/services", s.answer(s.listServices))
	metrics := gin.WrapH(promhttp.HandlerFor(s.deps.Gatherer, promhttp.HandlerOpts{}))
	read.GET("/metrics", metrics)
	read.GET(base+"/metrics", metrics)
	stream.GET(base+"/stream", s.answer(s.streamChanges))

	admin.POST(base+"/incidents/:id/acknowledge", s.answer(s.acknowledge))
	admin.POST(base+"/incidents/:id/resolve", s.answer(s.resolve))
	admin.POST(base+"/incidents/:id/explain", s.answer(s.explain))
	admin.POST(base+"/feedback", s.answer(s.addFeedback))
	admin.DELETE(base+"/feedback/:id", s.answer(s.undoFeedback))

	admin.GET(base+"/deliveries/dead", s.answer(s.listDead))
	admin.POST(base+"/deliveries/:alert_id/:receiver/redeliver", s.answer(s.redeliver))

	for _, source := range hook.Sources {
		hooks.POST(base+"/hooks/"+source, s.receiveHook(source))
	}

	open.GET(base+"/health", s.answer(s.health))
	open.HEAD(base+"/health", s.answer(s.health))
	open.GET("/openapi.json", s.serveOpenAPI)
	open.GET(base+"/openapi.json", s.serveOpenAPI)
	for path, file := range pageFiles {
		open.GET(path, servePage(file))
	}
	return router
}

// answer makes a gin handler of one that returns its error.
func (s *Server) answer(handle func(*gin.Context) error) gin.HandlerFunc {
	return func(c *gin.Context) {
		if err := handle(c); err != nil {
			s.fail(c, err)
		}
	}
}

// receiveOTLP hands the request to the OTLP receiver, which answers in OTLP's own words.
func (s *Server) receiveOTLP(c *gin.Context) error {
	if _, err := mediaType(c.Request, mediaProtobuf, mediaJSON); err != nil {
		return err
	}
	c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, s.cfg.MaxBodyBytes)
	s.deps.OTLP.ServeHTTP(c.Writer, c.Request)
	return nil
}
