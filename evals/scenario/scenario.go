package scenario

import (
	"container/heap"
	"math/rand/v2"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Step is one export, or one change marker.
type Step struct {
	At     time.Time     // event time: the end of the last span in it, or the time of the change
	Traces ptrace.Traces // a trace or a part of one; without spans when the step is a marker
	Logs   plog.Logs     // content of spans, see Config.ContentInLogs; mostly without records
	Marker *Marker       // nil when the step is an export
}

// Scenario produces steps. It is not safe for concurrent use.
type Scenario struct {
	cfg      Config
	bank     *bank
	world    *world
	plan     *plan
	queue    eventQueue
	order    uint64
	slowDone []bool // which of the slow requests have been made
}

// New prepares the scenario of a configuration. Memory stays bounded by the traffic of a few minutes.
func New(cfg Config) (*Scenario, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	b, err := loadBank()
	if err != nil {
		return nil, err
	}
	s := &Scenario{cfg: cfg, bank: b}
	s.world = newWorld(cfg, b)
	if s.plan, err = newPlan(cfg, s.world, b); err != nil {
		return nil, err
	}
	s.slowDone = make([]bool, len(s.plan.slow))
	for _, m := range s.plan.markers {
		s.emit(Step{At: m.At, Traces: ptrace.NewTraces(), Logs: plog.NewLogs(), Marker: &m})
	}
	for _, svc := range s.world.services {
		s.arrivals(svc)
	}
	s.attacks()
	s.flood()
	return s, nil
}

// Next returns the next step in order of event time, and false after the last.
func (s *Scenario) Next() (Step, bool) {
	for s.queue.Len() > 0 {
		e := heap.Pop(&s.queue).(event)
		if e.act == nil {
			return e.step, true
		}
		e.act(e.at)
	}
	return Step{}, false
}

// Truth returns the incidents by onset. It is empty for a control.
func (s *Scenario) Truth() []Truth { return slices.Clone(s.plan.truths) }

// arrivals lets conversations begin at the rate of the service, by thinning a faster Poisson process.
func (s *Scenario) arrivals(svc *service) {
	r := stream(s.cfg.Seed, "arrivals/"+svc.name, 0)
	fastest := svc.perHour * (1 + svc.amplitude) / turnsPerConversation * s.plan.highest(svc)
	var number uint64
	var arrive func(at time.Time)
	wait := func(from time.Time) {
		next := from.Add(time.Duration(r.ExpFloat64() / fastest * float64(time.Hour)))
		if next.Before(s.cfg.end()) {
			s.schedule(next, arrive)
		}
	}
	arrive = func(at time.Time) {
		if now := svc.rate(at) * s.plan.volume(svc, at) / turnsPerConversation; chance(r, now/fastest) {
			s.converse(svc, number, at)
			number++
		}
		wait(at)
	}
	wait(s.cfg.Start)
}

// attacks schedules the attempts of the campaign.
func (s *Scenario) attacks() {
	c := s.plan.campaign
	r := stream(s.cfg.Seed, "attacks", 0)
	for i := range c.attempts {
		u := c.users[i%len(c.users)]
		s.schedule(moment(r, c.interval), func(at time.Time) {
			ses := s.newSession(c.service, "attack", uint64(i), u)
			ses.purpose, ses.turns = attacking, 1
			s.turn(ses, at)
		})
	}
}

// flood schedules the calls of the user who abuses a service.
func (s *Scenario) flood() {
	f := s.plan.flood
	r := stream(s.cfg.Seed, "flood", 0)
	for i := range f.calls {
		s.schedule(moment(r, f.interval), func(at time.Time) {
			ses := s.newSession(f.service, "flood", uint64(i), f.user)
			ses.purpose, ses.turns = flooding, 1
			s.turn(ses, at)
		})
	}
}

func moment(r *rand.Rand, in interval) time.Time {
	return in.from.Add(time.Duration(r.Float64() * float64(in.length())))
}

func (s *Scenario) schedule(at time.Time, act func(time.Time)) {
	s.order++
	heap.Push(&s.queue, event{at: at, order: s.order, act: act})
}

func (s *Scenario) emit(step Step) {
	s.order++
	heap.Push(&s.queue, event{at: step.At, order: s.order, step: step})
}

// event is something that happens at a time: an action of the simulation, or a step that leaves it.
type event struct {
	at    time.Time
	order uint64 // of scheduling, breaks ties
	act   func(at time.Time)
	step  Step
}

type eventQueue []event

func (q eventQueue) Len() int { return len(q) }
func (q eventQueue) Less(i, j int) bool {
	if c := q[i].at.Compare(q[j].at); c != 0 {
		return c < 0
	}
	return q[i].order < q[j].order
}
func (q eventQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *eventQueue) Push(e any)   { *q = append(*q, e.(event)) }
func (q *eventQueue) Pop() any {
	old := *q
	e := old[len(old)-1]
	old[len(old)-1] = event{}
	*q = old[:len(old)-1]
	return e
}
