package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Bounds of one look at the outbox, and of what is kept of it.
const (
	routeBatch    = 100
	dueBatch      = 256
	maxRestored   = 5000 // deliveries whose order is read back at the start
	maxErrorBytes = 1024
)

// Incidents looks up how an incident stands now. CodeNotFound when it is not stored any more.
type Incidents interface {
	Incident(ctx context.Context, id string) (engine.Incident, error)
}

// Parts are what a dispatcher works with. It closes none of them.
type Parts struct {
	Outbox    engine.Outbox
	Incidents Incidents
	Memo      Memo
	Senders   map[string]engine.Notifier // one for each receiver of the configuration, by its name
}

// Dispatcher routes the alerts of an outbox and delivers them. One runs on an outbox at a time.
type Dispatcher struct {
	cfg       Config
	parts     Parts
	router    *router
	receivers map[string]*receiver
	log       *slog.Logger
	m         *metrics
	wake      chan struct{}

	// The loop's own.
	lanes    map[laneKey]*lane
	finished chan outcome
	underWay int
	alarm    time.Time // when the outbox is looked at again, unless something happens
	hungry   bool      // there is more in the outbox than was read
	aborted  bool      // attempts were cut short by the end of the service

	mu       sync.Mutex
	trouble  string    // what is wrong with the outbox
	troubled time.Time // since when
}

type outcome struct {
	lane *lane
	err  error
	took time.Duration
}

// New makes a dispatcher. Every receiver needs a sender.
func New(cfg Config, parts Parts, log *slog.Logger, reg prometheus.Registerer) (*Dispatcher, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("notify: configuration: %w", err)
	}
	d := &Dispatcher{
		cfg: cfg, parts: parts, log: log,
		receivers: make(map[string]*receiver),
		lanes:     make(map[laneKey]*lane),
		wake:      make(chan struct{}, 1),
	}
	var err error
	if d.router, err = newRouter(cfg); err != nil {
		return nil, fmt.Errorf("notify: configuration: %w", err)
	}
	slots := 0
	for _, c := range cfg.Receivers {
		sender, ok := parts.Senders[c.Name]
		if !ok || sender == nil {
			return nil, fmt.Errorf("notify: receiver %s has no sender", c.Name)
		}
		r := newReceiver(c, sender)
		d.receivers[c.Name] = r
		slots += r.slots
	}
	d.finished = make(chan outcome, slots) // so that no attempt ever waits for the loop
	if d.m, err = newMetrics(reg, slices.Sorted(maps.Keys(d.receivers))); err != nil {
		return nil, fmt.Errorf("notify: metrics: %w", err)
	}
	return d, nil
}

// Wake says that the outbox has something new. It never blocks.
func (d *Dispatcher) Wake() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Degraded names the receivers whose latest attempt failed, and the outbox when it does not work.
func (d *Dispatcher) Degraded() []engine.Degradation {
	var out []engine.Degradation
	d.mu.Lock()
	if d.trouble != "" {
		out = append(out, engine.Degradation{Part: "outbox", Since: d.troubled, Reason: d.trouble})
	}
	d.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(d.receivers)) {
		if n, since, failure, failing := d.receivers[name].condition(); failing {
			out = append(out, engine.Degradation{Part: "receiver " + name, Since: since, Reason: fmt.Sprintf("%d attempts failed in a row: %s", n, failure)})
		}
	}
	return out
}

// Run works until ctx ends and deliveries under way have ended too, for which they have DrainTimeout. What is not delivered
// by then stays in the outbox. Trouble with the outbox is logged, named by Degraded, and tried again.
func (d *Dispatcher) Run(ctx context.Context) error {
	attempts, abort := context.WithCancel(context.WithoutCancel(ctx))
	defer abort()
	timer := time.NewTimer(0)
	defer timer.Stop()
	restored := false
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case o := <-d.finished:
			d.finish(ctx, o)
			if !d.hungry {
				d.start(ctx, attempts)
				timer.Reset(time.Until(d.alarm))
				continue
			}
		case <-d.wake:
		case <-timer.C:
		}
		if ctx.Err() != nil {
			break
		}
		err := d.flushAll(ctx)
		if err == nil && !restored {
			err = d.restore(ctx)
			restored = err == nil
		}
		if restored {
			// Trouble with routing does not hold up what is routed.
			d.hungry = false
			err = errors.Join(err, d.route(ctx), d.collect(ctx))
		}
		d.noteTrouble(err)
		d.start(ctx, attempts)
		now := time.Now()
		d.alarm = d.next(now)
		if d.hungry && err == nil {
			d.alarm = now
		}
		timer.Reset(d.alarm.Sub(now))
	}
	d.drain(ctx, abort)
	return nil
}

// drain waits for what is under way, and stores how it ended.
func (d *Dispatcher) drain(ctx context.Context, abort context.CancelFunc) {
	const grace = time.Second // for attempts to notice that they are over
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.cfg.DrainTimeout+2*grace)
	defer cancel()
	patience := time.NewTimer(d.cfg.DrainTimeout)
	defer patience.Stop()
	for late := false; d.underWay > 0 && !late; {
		select {
		case o := <-d.finished:
			d.finish(ctx, o)
		case <-patience.C:
			if late = d.aborted; late {
				d.log.Warn("attempts do not end", "attempts", d.underWay)
			}
			d.aborted = true
			abort()
			patience.Reset(grace)
		}
	}
	if err := d.flushAll(ctx); err != nil {
		d.log.Error("deliveries not stored: they will be made again", "error", err)
	}
}

func (d *Dispatcher) noteTrouble(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case errors.Is(err, context.Canceled): // the service ends
	case err == nil:
		d.trouble = ""
	case d.trouble != cut(err.Error(), maxErrorBytes):
		if d.trouble == "" {
			d.troubled = time.Now()
		}
		d.trouble = cut(err.Error(), maxErrorBytes)
		d.log.Error("outbox does not work", "error", err)
	}
}

// restore reads the lanes back that an earlier run left behind.
func (d *Dispatcher) restore(ctx context.Context) error {
	now := time.Now()
	waiting, err := d.parts.Outbox.Due(ctx, now.AddDate(100, 0, 0), maxRestored)
	if err != nil {
		return fmt.Errorf("notify: read what is waiting: %w", err)
	}
	for _, x := range waiting {
		x.Alert = whole(x.Alert)
		if _, ok := d.receivers[x.Receiver]; !ok {
			continue // collect gives it up once it is due
		}
		l := d.lane(d.key(x))
		wanted := x.Next
		if x.Attempts > 0 && x.At.Before(wanted) {
			wanted = x.At
		}
		l.add(x, wanted)
	}
	for _, l := range d.lanes {
		d.group(l, now)
		l.rest(now)
		d.resume(l, now)
	}
	return nil
}

func (d *Dispatcher) key(x engine.Delivery) laneKey {
	t := d.router.target(x.Alert, x.Receiver)
	return laneKey{receiver: x.Receiver, incident: x.Alert.Incident.ID, escalation: t.after > 0 && begins(x.Alert.Change)}
}

func (d *Dispatcher) lane(k laneKey) *lane {
	l, ok := d.lanes[k]
	if !ok {
		l = &lane{key: k}
		d.lanes[k] = l
	}
	return l
}

// route decides who gets the alerts that came since it was last called.
func (d *Dispatcher) route(ctx context.Context) error {
	alerts, err := d.parts.Outbox.Unrouted(ctx, routeBatch)
	if err != nil {
		return fmt.Errorf("notify: read unrouted alerts: %w", err)
	}
	for _, a := range alerts {
		if err := d.routeOne(ctx, whole(a)); err != nil {
			return fmt.Errorf("notify: route alert %s: %w", a.ID, err)
		}
	}
	d.hungry = len(alerts) == routeBatch
	return nil
}

func (d *Dispatcher) routeOne(ctx context.Context, a engine.Alert) error {
	now := time.Now()
	var deliveries []engine.Delivery
	var lanes []*lane
	for _, t := range d.router.targets(a) {
		key := laneKey{receiver: t.receiver, incident: a.Incident.ID}
		next := now
		if t.after > 0 {
			by, escalated, err := d.parts.Memo.Get(ctx, escalationKey(t.receiver, a.Incident))
			if err != nil {
				return err
			}
			if !begins(a.Change) && !escalated {
				continue // it was never told of the incident
			}
			if begins(a.Change) && (!escalated || by == a.ID) {
				key.escalation, next = true, now.Add(t.after)
			}
		}
		l := d.lane(key)
		deliveries = append(deliveries, engine.Delivery{
			Alert: a, Receiver: t.receiver, State: engine.DeliveryWaiting, Next: l.after(next), At: now,
		})
		lanes = append(lanes, l)
	}
	if err := d.parts.Outbox.Route(ctx, a.ID, deliveries); err != nil {
		return err
	}
	for i, x := range deliveries {
		l := lanes[i]
		l.add(x, x.Next)
		d.group(l, now)
		l.rest(now)
		d.resume(l, now)
	}
	return nil
}

// group leaves the latest item of a lane only, where its receiver wants it so or nothing is sent now anyhow.
func (d *Dispatcher) group(l *lane, now time.Time) {
	if len(l.items) < 2 {
		return
	}
	latest := l.items[len(l.items)-1].delivery.Alert
	_, muted := mutedUntil(d.router.target(latest, l.key.receiver).mutes, now)
	if muted || d.receivers[l.key.receiver].group > 0 {
		d.leaveOut(l, now)
	}
}

// collect reads what is due.
func (d *Dispatcher) collect(ctx context.Context) error {
	now := time.Now()
	known := 0 // which would fill the window otherwise
	for _, l := range d.lanes {
		for _, it := range l.items {
			if !it.delivery.Next.After(now) {
				known++
			}
		}
	}
	due, err := d.parts.Outbox.Due(ctx, now, known+dueBatch)
	if err != nil {
		return fmt.Errorf("notify: read due deliveries: %w", err)
	}
	d.hungry = d.hungry || len(due) == known+dueBatch
	for _, r := range d.receivers {
		r.deferred = 0
	}
	for _, x := range due {
		x.Alert = whole(x.Alert)
		if _, ok := d.receivers[x.Receiver]; !ok {
			x.State, x.At, x.Error = engine.DeliveryDead, now, "there is no receiver of this name any more"
			if err := d.parts.Outbox.SaveDelivery(ctx, x); err != nil {
				return fmt.Errorf("notify: give up alert %s for %s: %w", x.Alert.ID, x.Receiver, err)
			}
			continue
		}
		l := d.lane(d.key(x))
		if len(l.writes) > 0 {
			continue // the store says what was, and not what is
		}
		if it := l.find(x.Alert.ID); it == nil { // somebody asked for it again, or it was beyond what restore reads
			l.add(x, now)
		} else if !it.loaded {
			it.delivery.Alert, it.loaded = x.Alert, true
		}
		d.resume(l, now)
	}
	if len(due) < known+dueBatch {
		d.forget(now)
	}
	return nil
}

// forget takes out of the lanes what the store, which was just read as of now, does not hold any more.
func (d *Dispatcher) forget(now time.Time) {
	for _, l := range d.lanes {
		if len(l.writes) > 0 {
			continue
		}
		l.items = slices.DeleteFunc(l.items, func(it *item) bool {
			return !it.loaded && it.delivery.Next.Before(now.Add(-time.Second))
		})
		d.resume(l, now)
	}
}

// resume lets the first item of a lane wait for a slot of its receiver, when it is due and nothing stands in its way.
func (d *Dispatcher) resume(l *lane, now time.Time) {
	if l.busy || len(l.writes) > 0 {
		return
	}
	due, loaded := l.due(now)
	if !due {
		if len(l.items) > 0 && l.items[0].delivery.Next.Before(d.alarm) {
			d.alarm = l.items[0].delivery.Next
		}
		return
	}
	if !loaded {
		d.hungry = true
		return
	}
	r := d.receivers[l.key.receiver]
	if len(r.queue) >= maxQueue {
		l.move(now.Add(r.deferral())) // the next flush stores it
		return
	}
	l.busy = true
	r.queue = append(r.queue, l)
}

// start makes as many attempts as there are slots.
func (d *Dispatcher) start(ctx, attempts context.Context) {
	for _, r := range d.receivers {
		for r.underWay < r.slots && len(r.queue) > 0 {
			l := r.queue[0]
			r.queue = r.queue[1:]
			d.attempt(ctx, attempts, r, l)
		}
	}
}

// attempt tries the first item of a lane, unless there is a reason not to.
func (d *Dispatcher) attempt(ctx, attempts context.Context, r *receiver, l *lane) {
	now := time.Now()
	stop := func() {
		l.busy = false
		if err := d.flush(ctx, l); err != nil {
			d.noteTrouble(err)
			return
		}
		d.resume(l, now)
	}
	t := d.router.target(l.items[0].delivery.Alert, r.name)
	if until, quiet := d.quiet(t, l, now); quiet {
		l.busy = false
		d.leaveOut(l, now)
		for _, it := range l.items {
			it.wanted = until
		}
		l.move(until)
		stop()
		return
	}
	alert := l.items[0].delivery.Alert
	if l.key.escalation {
		escalated, why, err := d.escalate(ctx, r.name, alert)
		switch {
		case err != nil:
			l.items[0].delivery.Error = cut(err.Error(), maxErrorBytes)
			l.move(now.Add(d.cfg.Retry.Initial))
			stop()
			return
		case why != "":
			d.m.deliveries.WithLabelValues(r.name, resultSkipped).Inc()
			l.end(0, engine.DeliveryDelivered, why, now)
			stop()
			return
		}
		alert = escalated
	}
	r.underWay++
	d.underWay++
	go func() {
		ctx, cancel := context.WithTimeout(attempts, r.timeout)
		defer cancel()
		began := time.Now()
		err := r.sender.Notify(ctx, alert)
		d.finished <- outcome{lane: l, err: err, took: time.Since(began)}
	}()
}

// quiet returns until when nothing is to be sent about an incident, because of a mute window or because its receiver was
// just told of it. Of what comes meanwhile only the latest is sent then.
func (d *Dispatcher) quiet(t target, l *lane, now time.Time) (until time.Time, quiet bool) {
	until, quiet = mutedUntil(t.mutes, now)
	if calm := l.told.Add(d.receivers[t.receiver].group); !l.told.IsZero() && calm.After(until) {
		until, quiet = calm, true
	}
	return until, quiet
}

// leaveOut leaves the latest item of a lane only, beside one that is being tried.
func (d *Dispatcher) leaveOut(l *lane, now time.Time) {
	n := l.leaveOut(now)
	d.m.deliveries.WithLabelValues(l.key.receiver, resultSkipped).Add(float64(n))
}

func escalationKey(receiver string, in engine.Incident) string {
	return fmt.Sprintf("escalated/%s/%s/%d", receiver, in.ID, in.Raised)
}

// escalate returns the alert to send to a receiver because nobody acknowledged its incident, or why not to.
func (d *Dispatcher) escalate(ctx context.Context, receiver string, a engine.Alert) (engine.Alert, string, error) {
	in, err := d.parts.Incidents.Incident(ctx, a.Incident.ID)
	switch {
	case engine.ErrorCode(err) == engine.CodeNotFound:
		return a, "not escalated: the incident is not stored any more", nil
	case err != nil:
		return a, "", fmt.Errorf("notify: look up incident %s: %w", a.Incident.ID, err)
	case in.Status != engine.StatusOpen:
		return a, "not escalated: the incident was " + string(in.Status), nil
	case in.Raised != a.Incident.Raised:
		return a, "not escalated: the incident was resolved and raised again", nil
	}
	key := escalationKey(receiver, in)
	by, escalated, err := d.parts.Memo.Get(ctx, key)
	if err == nil && !escalated {
		by = a.ID
		err = d.parts.Memo.Put(ctx, key, by) // before it is sent, so that what happens meanwhile is told too
	}
	if err != nil {
		return a, "", fmt.Errorf("notify: remember the escalation of %s: %w", in.ID, err)
	}
	if by == a.ID {
		a.Change = ChangeEscalated
	}
	a.Incident = in
	return a, "", nil
}

// finish takes the result of an attempt.
func (d *Dispatcher) finish(ctx context.Context, o outcome) {
	now := time.Now()
	l := o.lane
	r := d.receivers[l.key.receiver]
	r.underWay--
	d.underWay--
	l.busy = false
	if o.err != nil && d.aborted {
		return // it says nothing of the receiver, and the delivery waits as before
	}
	r.observe(o.err, now)
	r.pace += (o.took - r.pace) / 8
	d.m.attempts.WithLabelValues(r.name).Observe(o.took.Seconds())

	it := l.items[0]
	it.delivery.Attempts++
	it.delivery.At = now
	log := d.log.With("receiver", r.name, "alert", it.delivery.Alert.ID, "attempts", it.delivery.Attempts)
	switch {
	case o.err == nil:
		d.m.deliveries.WithLabelValues(r.name, resultDelivered).Inc()
		l.told = now
		l.end(0, engine.DeliveryDelivered, "", now)
		log.Debug("alert delivered")
	case engine.IsPermanent(o.err) || it.delivery.Attempts >= d.cfg.Retry.MaxAttempts:
		d.m.deliveries.WithLabelValues(r.name, resultDead).Inc()
		l.end(0, engine.DeliveryDead, cut(o.err.Error(), maxErrorBytes), now)
		log.Error("alert given up", "error", o.err)
	default:
		d.m.deliveries.WithLabelValues(r.name, resultFailed).Inc()
		it.delivery.Error = cut(o.err.Error(), maxErrorBytes)
		wait := d.cfg.Retry.wait(it.delivery.Attempts, o.err)
		l.move(now.Add(wait))
		log.Warn("alert not delivered", "again_in", wait, "error", o.err)
	}
	if err := d.flush(ctx, l); err != nil {
		d.noteTrouble(err)
		return
	}
	d.resume(l, now)
}

// wait returns how long to wait after the n-th attempt failed.
func (r Retry) wait(n int, err error) time.Duration {
	d := r.Max
	if shift := n - 1; shift < 40 && r.Initial<<shift>>shift == r.Initial {
		d = min(d, r.Initial<<shift)
	}
	d -= rand.N(d/2 + 1)
	var e *engine.Error
	if errors.As(err, &e) {
		d = max(d, min(e.RetryAfter, maxRetryAfter))
	}
	return d
}

// flush stores what is not stored of a lane.
func (d *Dispatcher) flush(ctx context.Context, l *lane) error {
	for len(l.writes) > 0 {
		x := l.writes[0]
		if err := d.parts.Outbox.SaveDelivery(ctx, x); err != nil {
			return fmt.Errorf("notify: store the delivery of %s to %s: %w", x.Alert.ID, x.Receiver, err)
		}
		l.writes = l.writes[1:]
	}
	l.writes = nil
	return nil
}

// flushAll stores what is not stored yet.
func (d *Dispatcher) flushAll(ctx context.Context) error {
	for _, l := range d.lanes {
		if len(l.writes) == 0 {
			continue
		}
		if err := d.flush(ctx, l); err != nil {
			return err
		}
		d.resume(l, time.Now())
	}
	return nil
}

// next returns when something is due again as far as is known, forgets lanes that are done with, and sets the gauges.
func (d *Dispatcher) next(now time.Time) time.Time {
	next := now.Add(d.cfg.PollInterval)
	waiting := make(map[string]int)
	oldest := make(map[string]time.Duration)
	for key, l := range d.lanes {
		if len(l.items) == 0 {
			if len(l.writes) == 0 && now.Sub(l.told) > d.receivers[key.receiver].group {
				delete(d.lanes, key)
			}
			continue
		}
		waiting[key.receiver] += len(l.items)
		oldest[key.receiver] = max(oldest[key.receiver], now.Sub(l.items[0].wanted))
		if at := l.items[0].delivery.Next; at.After(now) && at.Before(next) {
			next = at
		}
	}
	for name := range d.receivers {
		d.m.waiting.WithLabelValues(name).Set(float64(waiting[name]))
		d.m.oldest.WithLabelValues(name).Set(oldest[name].Seconds())
	}
	return next
}
