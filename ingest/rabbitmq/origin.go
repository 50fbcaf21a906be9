package rabbitmq

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

type digest [sha256.Size]byte

// origin is the id and time that an event was given because its message has none.
type origin struct {
	id string
	at time.Time
}

// origins remembers them over redeliveries, so that an event which comes again is the same event. Two messages that read the same have
// an origin each. It may be used concurrently.
type origins struct {
	mu    sync.Mutex
	most  int
	loose map[digest][]origin // of messages that the broker has again
	order []digest            // one entry an origin that was let loose, oldest first
}

func newOrigins(most int) *origins { return &origins{most: most, loose: make(map[digest][]origin)} }

// claim returns the origin for a delivery.
func (o *origins) claim(d digest, redelivered bool, now time.Time) origin {
	if redelivered {
		o.mu.Lock()
		defer o.mu.Unlock()
		if list := o.loose[d]; len(list) > 0 {
			o.drop(d)
			return list[0]
		}
	}
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // never fails
	return origin{identify(d[:], nonce[:]), now}
}

// letLoose keeps the origin of a message that goes back to the broker.
func (o *origins) letLoose(d digest, x origin) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.loose[d] = append(o.loose[d], x)
	o.order = append(o.order, d)
	for len(o.order) > o.most {
		o.drop(o.order[0])
		o.order = o.order[1:]
	}
}

// drop forgets the oldest origin of d, if there is one. o.mu is held.
func (o *origins) drop(d digest) {
	if list := o.loose[d]; len(list) > 1 {
		o.loose[d] = list[1:]
	} else {
		delete(o.loose, d)
	}
}

// complete gives the event an id and a time where it has none. It returns the origin that the time came from, and
// whether it came from one.
func (o *origins) complete(e *engine.SecurityEvent, m *amqp.Delivery, now time.Time) (digest, origin, bool) {
	if e.At.IsZero() && !m.Timestamp.IsZero() {
		e.At = m.Timestamp.UTC()
	}
	if e.ID == "" {
		e.ID = m.MessageId
	}
	d := digest(sha256.Sum256(m.Body))
	if e.At.IsZero() {
		x := o.claim(d, m.Redelivered, now)
		e.At = x.at
		if e.ID == "" {
			e.ID = x.id
		}
		return d, x, true
	}
	if e.ID == "" {
		e.ID = identify(d[:], []byte(e.At.Format(time.RFC3339Nano)))
	}
	return digest{}, origin{}, false
}

func identify(parts ...[]byte) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write(p)
	}
	return "msg-" + hex.EncodeToString(h.Sum(nil)[:16])
}
