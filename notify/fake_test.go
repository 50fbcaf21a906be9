package notify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"log/slog"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// outbox is an engine.Outbox in memory. before is asked before each call and may refuse it; after may fail a call that took
// effect, as when the process dies before it hears of it.
type outbox struct {
	mu         sync.Mutex
	alerts     []engine.Alert
	routed     map[string]bool
	deliveries []*engine.Delivery
	before     func(call string) error
	after      func(call string) error
	history    []string // saved states, as "alert receiver state"
}

func newOutbox() *outbox { return &outbox{routed: make(map[string]bool)} }

func (o *outbox) do(call string, f func()) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.before != nil {
		if err := o.before(call); err != nil {
			return err
		}
	}
	f()
	if o.after != nil {
		return o.after(call)
	}
	return nil
}

func (o *outbox) commit(alerts ...engine.Alert) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.alerts = append(o.alerts, alerts...)
}

func (o *outbox) Unrouted(_ context.Context, n int) (out []engine.Alert, err error) {
	err = o.do("unrouted", func() {
		for _, a := range o.alerts {
			if !o.routed[a.ID] && len(out) < n {
				out = append(out, a)
			}
		}
	})
	return out, err
}

func (o *outbox) Route(_ context.Context, id string, to []engine.Delivery) error {
	return o.do("route", func() {
		if o.routed[id] {
			return
		}
		o.routed[id] = true
		for _, d := range to {
			o.deliveries = append(o.deliveries, &d)
		}
	})
}

func (o *outbox) Due(_ context.Context, now time.Time, n int) (out []engine.Delivery, err error) {
	err = o.do("due", func() {
		for _, d := range o.deliveries {
			if d.State == engine.DeliveryWaiting && !d.Next.After(now) {
				out = append(out, *d)
			}
		}
		slices.SortStableFunc(out, func(a, b engine.Delivery) int { return a.Next.Compare(b.Next) })
		out = out[:min(n, len(out))]
	})
	return out, err
}

func (o *outbox) SaveDelivery(ctx context.Context, x engine.Delivery) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return o.do("save", func() {
		for _, d := range o.deliveries {
			if d.Alert.ID == x.Alert.ID && d.Receiver == x.Receiver {
				d.State, d.Attempts, d.Next, d.Error, d.At = x.State, x.Attempts, x.Next, x.Error, x.At
				o.history = append(o.history, fmt.Sprintf("%s %s %s", x.Alert.ID, x.Receiver, x.State))
			}
		}
	})
}

// state lists how deliveries stand, as "alert receiver state", sorted.
func (o *outbox) state() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := []string{}
	for _, d := range o.deliveries {
		out = append(out, fmt.Sprintf("%s %s %s", d.Alert.ID, d.Receiver, d.State))
	}
	slices.Sort(out)
	return out
}

func (o *outbox) get(t *testing.T, alert, receiver string) engine.Delivery {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, d := range o.deliveries {
		if d.Alert.ID == alert && d.Receiver == receiver {
			return *d
		}
	}
	require.Fail(t, "no such delivery", "%s to %s", alert, receiver)
	return engine.Delivery{}
}

// redeliver is what the API does with a dead letter.
func (o *outbox) redeliver(alert, receiver string, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, d := range o.deliveries {
		if d.Alert.ID == alert && d.Receiver == receiver {
			d.State, d.Attempts, d.Next = engine.DeliveryWaiting, 0, now
		}
	}
}

// memo is a Memo in memory.
type memo struct {
	mu     sync.Mutex
	values map[string]string
}

func (m *memo) Get(_ context.Context, key string) (string, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.values[key]
	return v, ok, nil
}

func (m *memo) Put(_ context.Context, key, value string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.values[key] = value
	return nil
}

// incidents are Incidents in memory.
type incidents struct {
	mu     sync.Mutex
	values map[string]engine.Incident
}

func (i *incidents) Incident(_ context.Context, id string) (engine.Incident, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	in, ok := i.values[id]
	if !ok {
		return in, engine.Errorf(engine.CodeNotFound, "no incident %s", id)
	}
	return in, nil
}

func (i *incidents) set(in engine.Incident) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.values[in.ID] = in
}

// peer is a receiver that remembers what it got; answer decides what it says to the n-th attempt, from 1.
type peer struct {
	mu     sync.Mutex
	got    []string // "alert change", the accepted ones
	at     []time.Time
	calls  int
	answer func(ctx context.Context, n int, a engine.Alert) error
}

func (p *peer) Notify(ctx context.Context, a engine.Alert) error {
	p.mu.Lock()
	p.calls++
	n := p.calls
	p.mu.Unlock()
	if p.answer != nil {
		if err := p.answer(ctx, n, a); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got = append(p.got, a.ID+" "+a.Change)
	p.at = append(p.at, time.Now())
	return nil
}

func (p *peer) received() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.got)
}

// alert is one change of an incident; its id is "incident/change".
func alert(incident, change string, with ...func(*engine.Alert)) engine.Alert {
	a := Sample(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))
	a.ID, a.Change = incident+"/"+change, change
	a.Incident.ID = incident
	switch change {
	case engine.ChangeAcknowledged:
		a.Incident.Status = engine.StatusAcknowledged
	case engine.ChangeResolved:
		a.Incident.Status = engine.StatusResolved
	}
	for _, f := range with {
		f(&a)
	}
	return a
}

func severity(s engine.Severity) func(*engine.Alert) {
	return func(a *engine.Alert) { a.Incident.Severity = s }
}

// world is a dispatcher with everything around it.
type world struct {
	cfg       Config
	outbox    *outbox
	memo      *memo
	incidents *incidents
	peers     map[string]*peer
	registry  *prometheus.Registry
	d         *Dispatcher
}

func newWorld(cfg Config) *world {
	w := &world{
		cfg: cfg, outbox: newOutbox(), memo: &memo{values: map[string]string{}},
		incidents: &incidents{values: map[string]engine.Incident{}}, peers: map[string]*peer{},
	}
	for _, r := range cfg.Receivers {
		w.peers[r.Name] = &peer{}
	}
	return w
}

// run starts a dispatcher on what is there; what it returns stops it and waits for it.
func (w *world) run(t *testing.T) func() {
	t.Helper()
	senders := make(map[string]engine.Notifier)
	for name, p := range w.peers {
		senders[name] = p
	}
	var err error
	w.registry = prometheus.NewPedanticRegistry()
	w.d, err = New(w.cfg, Parts{Outbox: w.outbox, Incidents: w.incidents, Memo: w.memo, Senders: senders}, slog.New(slog.DiscardHandler), w.registry)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	d := w.d
	go func() { done <- d.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-done)
	})
	t.Cleanup(stop)
	return stop
}

// config has receivers of these names that get everything.
func config(names ...string) Config {
	c := DefaultConfig()
	for _, n := range names {
		c.Receivers = append(c.Receivers, Receiver{Name: n, Type: TypeWebhook})
	}
	c.DefaultReceivers = names
	return c
}

var errDown = errors.New("the other side is down")

// value is a counter or gauge of the registry.
func (w *world) value(t *testing.T, name string, labels ...string) float64 {
	families, err := w.registry.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			var have []string
			for _, l := range m.GetLabel() {
				have = append(have, l.GetValue())
			}
			if slices.Equal(have, labels) {
				return cmp.Or(m.GetCounter().GetValue(), m.GetGauge().GetValue())
			}
		}
	}
	require.Fail(t, "no such series", "%s%v", name, labels)
	return 0
}
