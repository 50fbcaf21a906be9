package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coder/websocket"
	"github.com/gin-gonic/gin"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

const (
	streamProtocol = "sentinel.v1"
	keyProtocol    = "bearer." // and the key, for browsers, whose WebSockets have no other header

	streamWriteTimeout = 10 * time.Second
	streamPingEvery    = 30 * time.Second
)

// streamKey lets a key come as a subprotocol. It goes before authorize.
func streamKey(c *gin.Context) {
	if credential(c.Request) != "" {
		return
	}
	for _, protocol := range subprotocols(c.Request) {
		if key, ok := strings.CutPrefix(protocol, keyProtocol); ok {
			c.Request.Header.Set("X-API-Key", key)
			return
		}
	}
}

var errSlow = errors.New("too far behind")

func subprotocols(r *http.Request) []string {
	var all []string
	for _, header := range r.Header.Values("Sec-WebSocket-Protocol") {
		for protocol := range strings.SplitSeq(header, ",") {
			all = append(all, strings.TrimSpace(protocol))
		}
	}
	return all
}

// streamChanges sends each change of an incident as it happens, until the client leaves, falls too far behind, loses its key, or
// the server stops.
func (s *Server) streamChanges(c *gin.Context) error {
	if s.deps.Stream == nil {
		return engine.Errorf(engine.CodeNotFound, "changes are not streamed here")
	}
	// Browsers open WebSockets to other sites without asking, so that this GET is checked as a write is.
	asWrite := *c.Request
	asWrite.Method = http.MethodPost
	if err := s.origin.Check(&asWrite); err != nil {
		return httpError{problemCrossOrigin, err.Error()}
	}
	if !upgrades(c.Request) {
		c.Header("Connection", "Upgrade")
		c.Header("Upgrade", "websocket")
		return httpError{problemUpgradeRequired, "this path speaks WebSocket: Upgrade: websocket is needed"}
	}
	client, err := s.deps.Stream.subscribe()
	if err != nil {
		return err
	}
	defer s.deps.Stream.unsubscribe(client)
	if !s.streams.enter() {
		return &engine.Error{Code: engine.CodeUnavailable, Message: "the server is stopping", RetryAfter: defaultRetryAfter}
	}
	defer s.streams.leave()

	options := &websocket.AcceptOptions{}
	if slices.Contains(subprotocols(c.Request), streamProtocol) {
		options.Subprotocols = []string{streamProtocol}
	}
	conn, err := websocket.Accept(c.Writer, c.Request, options)
	if err != nil { // answered already
		s.logger.DebugContext(c, "stream not opened", "request_id", requestID(c), "error", err)
		return nil
	}
	defer func() { _ = conn.CloseNow() }() // closed in order below, unless the client was first
	ctx, cancel := context.WithCancel(conn.CloseRead(c.Request.Context()))
	defer cancel()
	defer context.AfterFunc(s.streams.ctx, cancel)()

	status, reason := websocket.StatusNormalClosure, ""
	switch err := s.feed(ctx, c, conn, client); {
	case s.streams.ctx.Err() != nil:
		status, reason = websocket.StatusGoingAway, "the server is stopping"
	case errors.Is(err, errSlow):
		status, reason = websocket.StatusTryAgainLater, "too far behind: read GET /api/v1/incidents and come back"
	case engine.ErrorCode(err) == engine.CodeUnauthorized:
		status, reason = websocket.StatusPolicyViolation, "the API key is not valid any more"
	}
	_ = conn.Close(status, reason) // the client may be gone
	return nil
}

// feed returns when the stream is over, with the reason.
func (s *Server) feed(ctx context.Context, c *gin.Context, conn *websocket.Conn, client *subscription) error {
	ping := time.NewTicker(s.streams.pingEvery)
	defer ping.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case change, ok := <-client.changes:
			if !ok {
				return errSlow
			}
			if err := within(ctx, func(ctx context.Context) error { return conn.Write(ctx, websocket.MessageText, change) }); err != nil {
				return err
			}
		case <-ping.C:
			key, err := s.identify(c)
			if err == nil {
				err = permit(key, engine.ScopeRead)
			}
			if engine.ErrorCode(err) == engine.CodeUnauthorized {
				return err
			}
			if err := within(ctx, conn.Ping); err != nil {
				return err
			}
		}
	}
}

func within(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, streamWriteTimeout)
	defer cancel()
	return do(ctx)
}

func upgrades(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Upgrade"), "websocket") && strings.Contains(strings.ToLower(r.Header.Get("Connection")), "upgrade")
}
