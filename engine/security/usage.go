package security

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// habits are when, where from and with what a key or user works. Fields are exported for the snapshot.
type habits struct {
	Hours   [24]uint32 // windows in time with use, by hour of the day (UTC)
	Windows uint32
	Days    uint32
	Day     int64
	Window  int64 // the latest
	// The hour that goes on is not a habit yet.
	Hour  int64 // hours since 1970
	InNow uint32

	Places, Clients familiar
	Told            telling
}

// familiar is what was seen of one property. Fields are exported for the snapshot.
type familiar struct {
	Seen    []known
	Uses    uint32 // windows with the property
	Window  int64
	Crowded bool // there was more than is remembered
}

type known struct {
	Value string
	First int64 // tick
}

// Bounds of habits, and how many uses make one.
const (
	maxFamiliar  = 32
	habitWindows = 100
	habitDays    = 5
	habitUses    = 50
	mostWindows  = 20_000 // then all counts are halved
)

// odd is the p-value below which one property of a use is unusual.
const odd = 0.05

// add counts a use.
func (h *habits) add(at time.Time, window int64) {
	if window <= h.Window {
		return
	}
	h.Window = window
	if hour := at.Unix() / 3600; hour != h.Hour {
		h.Hours[h.Hour%24] += h.InNow
		h.Windows += h.InNow
		h.Hour, h.InNow = hour, 0
		if d := day(at); d != h.Day {
			h.Day = d
			h.Days++
		}
	}
	h.InNow++
	if h.Windows >= mostWindows {
		h.Windows = 0
		for i := range h.Hours {
			h.Hours[i] /= 2
			h.Windows += h.Hours[i]
		}
	}
}

// hour is the chance of a use within an hour of this one, where enough is known.
func (h *habits) hour(at time.Time) (p float64, ok bool) {
	if h.Windows < habitWindows || h.Days < habitDays {
		return 1, false
	}
	hour := at.UTC().Hour()
	near := h.Hours[(hour+23)%24] + h.Hours[hour] + h.Hours[(hour+1)%24]
	return float64(near+1) / float64(h.Windows+1), true
}

// see counts a value and returns the chance of one that is as new, where enough is known. What was first seen within the window is still
// new.
func (f *familiar) see(value string, tick int64) (p float64, ok bool) {
	if value == "" {
		return 1, false
	}
	i := slices.IndexFunc(f.Seen, func(k known) bool { return k.Value == value })
	fresh := i < 0 || tick-f.Seen[i].First < ticks
	switch {
	case i >= 0:
	case len(f.Seen) < maxFamiliar:
		f.Seen = append(f.Seen, known{strings.Clone(value), tick})
	default:
		f.Crowded = true
	}
	if w := tick / ticks; w > f.Window {
		f.Window = w
		f.Uses = min(f.Uses+1, math.MaxUint32-1)
	}
	switch {
	case f.Crowded || f.Uses < habitUses:
		return 1, false
	case !fresh || len(f.Seen) < 2:
		return 1, true
	}
	return min(1, float64(len(f.Seen))/float64(f.Uses+1)), true
}

// place is where an event came from, as coarsely as can be told.
func place(e *engine.SecurityEvent) string {
	if p := detail(e, "country", "country_code", "geo.country", "region", "location", "asn"); p != "" {
		return shorten(strings.ToLower(p), 64)
	}
	ip := detail(e, "source_ip", "ip", "client_ip", "remote_ip", "ip_address")
	if a, err := netip.ParseAddr(ip); err == nil {
		n := 24
		if a.Is6() && !a.Is4In6() {
			n = 48
		}
		if prefix, err := a.Unmap().Prefix(n); err == nil {
			return prefix.String()
		}
	}
	return shorten(ip, 64)
}

// client is what an event's client calls itself.
func client(e *engine.SecurityEvent) string {
	return shorten(detail(e, "user_agent", "user_agent.original", "client", "device"), 64)
}

// owner is whose habits count: the key's, else the user's.
func (e *event) owner() (engine.Subject, bool) {
	if who, ok := e.subject(engine.SubjectAPIKey); ok {
		return who, true
	}
	return e.subject(engine.SubjectUser)
}

// uses holds an event against the habits of its key, and tells of one that is unusual in more than one way: the hour, the place, the
// client, and how many attacks or failed logins there are. Each alone is too common to be told.
func (s *Screener) uses(e *event, list []burst) {
	who, ok := e.owner()
	if !ok {
		return
	}
	h, _ := s.habits.count(e.At, subjectKey(who))
	hour, hourKnown := h.hour(e.At)
	from, fromKnown := h.Places.see(place(e.SecurityEvent), e.tick)
	with, withKnown := h.Clients.see(client(e.SecurityEvent), e.tick)
	enough := h.Days >= habitDays
	h.add(e.At, e.tick/ticks)
	var ps []float64
	var ways []string
	for _, property := range []struct {
		p     float64
		known bool
		way   string
	}{
		{hour, hourKnown, "at " + e.At.UTC().Format("15:04") + " UTC"},
		{from, fromKnown && enough, "from a new place (" + place(e.SecurityEvent) + ")"},
		{with, withKnown && enough, "with a new client"},
	} {
		if !property.known {
			continue
		}
		if ps = append(ps, property.p); property.p < odd {
			ways = append(ways, property.way)
		}
	}
	if len(ways) == 0 {
		return
	}
	n := 1
	for _, b := range list {
		if b.who != who {
			continue
		}
		n = max(1, b.n)
		p := s.peersOf(e.class, who.Kind).exceeds(b.n, 1)
		if b.x.Past.N >= float64(s.cfg.MinWindows) {
			p = max(p, b.x.Past.exceeds(b.n))
		}
		if ps = append(ps, p); p < odd {
			ways = append(ways, fmt.Sprintf("%d %s within %s", b.n, bursts[e.class].noun, s.cfg.Window))
		}
	}
	p := fisher(ps)
	if len(ways) < 2 || p >= worth || !h.Told.news(e.tick, n) {
		return
	}
	f := s.finding("unusual_use", e, who, e.tick)
	f.P = p
	f.Effect = engine.Effect{Current: float64(n), Unit: "events"}
	if !e.TraceID.IsZero() {
		f.Traces = []engine.TraceID{e.TraceID}
	}
	f.Reason = fmt.Sprintf("%s %s is used as never before: %s", who.Kind, who.Value, strings.Join(ways, ", "))
	s.tell(f)
}

// works counts a request in the habits of its key.
func (s *Screener) works(t *engine.Trace) {
	for i := range t.Spans {
		span := &t.Spans[i]
		e := engine.SecurityEvent{At: t.End(), APIKey: span.APIKey, User: span.User}
		if e.APIKey == "" && e.User == "" {
			continue
		}
		if x := s.read(&e); x.tick > 0 {
			if who, ok := x.owner(); ok {
				h, _ := s.habits.count(x.At, subjectKey(who))
				h.add(x.At, x.tick/ticks)
			}
		}
		return
	}
}
