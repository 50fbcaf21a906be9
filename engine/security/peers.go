package security

import "math"

// peers is what subjects of one kind do in a window in which they do anything, for one class of events. Fields are exported for the
// snapshot.
type peers struct {
	// Beyond is of how many events more than one there are. It is learnt from windows that have passed and were calm.
	Beyond moments
	Window int64 // up to which Beyond has faded
	// Recent is what goes on in the latest window in time and the one before, bursts included.
	Recent [2]tally
}

type tally struct {
	Window         int64
	Active, Events int
}

// What is believed of peers before any was seen: as many windows with one event beyond the first, geometrically distributed.
const (
	priorPeers   = 20
	priorBeyond  = 1
	priorSquares = 3
)

func (p *peers) learn(window int64, n int, fade float64) {
	if gap := window - p.Window; gap > 0 {
		if p.Window > 0 {
			p.Beyond.fade(math.Pow(fade, float64(gap)))
		}
		p.Window = window
	}
	p.Beyond.add(float64(n - 1))
}

// saw counts an event of a subject; first is whether it is the subject's first of the window.
func (p *peers) saw(window int64, first bool) {
	i := window % 2
	if p.Recent[i].Window > window {
		return
	}
	if p.Recent[i].Window < window {
		p.Recent[i] = tally{Window: window}
	}
	p.Recent[i].Events++
	if first {
		p.Recent[i].Active++
	}
}

// recent is what others did lately: the number of subjects, counted by window, and of all events, the subject's own among them.
func (p *peers) recent(window int64, own *ring) (others int, mean float64, events int) {
	var active, mine int
	for _, t := range p.Recent {
		if window-t.Window > 1 {
			continue
		}
		active += t.Active
		events += t.Events
		if n := own.sum(t.Window*ticks, t.Window*ticks+ticks-1); n > 0 {
			active--
			mine += n
		}
	}
	if active <= 0 {
		return 0, 0, events
	}
	return active, float64(max(0, events-mine)) / float64(active), events
}

// exceeds is the chance that a subject which does anything has n or more events, where the mean of all is at least level.
func (p *peers) exceeds(n int, level float64) float64 {
	m := p.Beyond
	m.N += priorPeers
	m.Sum += priorPeers * priorBeyond
	m.Squares += priorPeers * priorSquares
	return countP(float64(n-1), max(m.mean(), level-1), m.dispersion())
}
