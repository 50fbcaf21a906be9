package api

import (
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

const (
	maxStreams   = 128 // clients of GET /stream at once
	streamBuffer = 64  // changes that a client may be behind
)

// Hub hands each change of an incident to the clients of GET /stream that are connected when it happens. It is safe for concurrent use and never waits for a client: one that is
// too far behind is let go, to come back and read what it missed from GET /incidents.
type Hub struct {
	mu      sync.Mutex
	clients map[*subscription]struct{}

	sent, slow, refused atomic.Uint64
}

// NewHub makes a Hub without clients.
func NewHub() *Hub { return &Hub{clients: make(map[*subscription]struct{})} }

// subscription is one client. Its channel is closed when the client is too slow.
type subscription struct{ changes chan []byte }

var errStreamsFull = &engine.Error{Code: engine.CodeFull, Message: fmt.Sprintf("%d clients follow the stream already", maxStreams), RetryAfter: defaultRetryAfter}

// Notify hands the alert to all clients. It never waits.
func (h *Hub) Notify(a engine.Alert) {
	a.Incident = complete(a.Incident)
	change, err := json.Marshal(a)
	if err != nil {
		return // an incident is always JSON: it was stored as such
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for client := range h.clients {
		select {
		case client.changes <- change:
			h.sent.Add(1)
		default:
			h.slow.Add(1)
			delete(h.clients, client)
			close(client.changes)
		}
	}
}

func (h *Hub) subscribe() (*subscription, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.clients) >= maxStreams {
		h.refused.Add(1)
		return nil, errStreamsFull
	}
	client := &subscription{changes: make(chan []byte, streamBuffer)}
	h.clients[client] = struct{}{}
	return client, nil
}

// unsubscribe may follow the hub's own decision to let a client go.
func (h *Hub) unsubscribe(client *subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.clients, client)
}

func (h *Hub) connected() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.clients)
}
