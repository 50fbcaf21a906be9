package api

import (
	"fmt"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

const (
	contextRequestID = "request_id"
	contextKey       = "api_key"
)

func requestID(c *gin.Context) string { return c.GetString(contextRequestID) }

// caller is the name of the key that a request carries, "" without one.
func caller(c *gin.Context) string {
	if key, ok := c.MustGet(contextKey).(*engine.APIKey); ok && key != nil {
		return key.Name
	}
	return ""
}

// callerID is the id of the API key that a request came with, "" without one.
func callerID(c *gin.Context) string {
	if key, ok := c.MustGet(contextKey).(*engine.APIKey); ok && key != nil {
		return key.ID
	}
	return ""
}

// observe gives each request an id, counts and times it, and turns a panic into an answer.
func (s *Server) observe(c *gin.Context) {
	start := time.Now()
	id := uuid.NewString()
	c.Set(contextRequestID, id)
	c.Header("X-Request-Id", id)
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler { //nolint:errorlint // net/http compares it this way too
				panic(p)
			}
			s.logger.ErrorContext(c, "panic", "request_id", id, "route", c.FullPath(), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			s.fail(c, fmt.Errorf("panic: %v", p))
		}
		took := time.Since(start)
		s.metrics.observe(c.FullPath(), c.Request.Method, c.Writer.Status(), took)
		s.logger.DebugContext(c, "request", "request_id", id, "method", c.Request.Method, "route", c.FullPath(),
			"status", c.Writer.Status(), "took", took)
	}()
	c.Next()
}

// The page runs only what this server sends it; nothing may frame it.
const (
	policyAPI  = "default-src 'none'; frame-ancestors 'none'"
	policyPage = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)

func secure(c *gin.Context) {
	h := c.Writer.Header()
	h.Set("Content-Security-Policy", policyAPI)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// checkHost refuses requests that were meant for another name. A page of another site can make its own name point at a
// loopback listener; its requests then still carry that name.
func (s *Server) checkHost(c *gin.Context) {
	host := hostname(c.Request.Host)
	if s.knowsHost(host) {
		return
	}
	s.fail(c, httpError{problemMisdirected, fmt.Sprintf("host %q is not among allowed_hosts", host)})
}

func (s *Server) knowsHost(host string) bool {
	if isLoopback(host) || slices.Contains(s.hosts, host) {
		return true
	}
	if isLoopback(s.cfg.Listen) {
		return false
	}
	_, err := netip.ParseAddr(host) // no name, no rebinding: probes and scrapers come by address
	return err == nil || len(s.hosts) == 0
}

// checkOrigin refuses writes that a browser makes for another site.
func (s *Server) checkOrigin(c *gin.Context) {
	if err := s.origin.Check(c.Request); err != nil {
		s.fail(c, httpError{problemCrossOrigin, err.Error()})
	}
}

// authorize lets through who may do what needs scope.
func (s *Server) authorize(scope string) gin.HandlerFunc {
	return func(c *gin.Context) {
		key, err := s.identify(c)
		if err == nil {
			err = permit(key, scope)
		}
		if err != nil {
			s.fail(c, err)
			return
		}
		c.Set(contextKey, key)
	}
}

func (s *Server) identify(c *gin.Context) (*engine.APIKey, error) {
	ctx := WithRemote(c.Request.Context(), c.Request.RemoteAddr)
	return s.auth.identify(ctx, credential(c.Request))
}

// limit bounds the memory that bodies take: as many of them are held at once as there are slots.
func (s *Server) limit(slots int) gin.HandlerFunc {
	held := make(chan struct{}, slots)
	return func(c *gin.Context) {
		select {
		case held <- struct{}{}:
			defer func() { <-held }()
			c.Next()
		default:
			s.fail(c, &engine.Error{Code: engine.CodeFull, Message: "too many requests with a body at once", RetryAfter: time.Second})
		}
	}
}
