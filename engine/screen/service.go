package screen

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/statistical"
)

// service is what is followed of a whole service: its traffic, its cost, and who uses it how much.
type service struct {
	Requests *statistical.Rate         // root spans a window
	Volume   *statistical.Quantity     // the same, whatever the hour
	Cost     *statistical.Quantity     // a window
	Spend    *statistical.Quantity     // tokens of one user in one window, over all users
	Past     *statistical.HeavyHitters // tokens by user
	Active   *statistical.HeavyHitters // windows in which a user was active
	Open     map[int64]*serviceWindow
	Last     time.Time // end of the latest closed window
	silent   int       // windows without a request since the last one with
	Busy     time.Time // since when the traffic is strange; zero when calm
	Dear     time.Time // since when the cost is
}

// serviceWindow is one open window of a service.
type serviceWindow struct {
	Start    time.Time
	Requests int
	Cost     float64
	Traces   []engine.TraceID
	Costs    amounts
	Users    map[engine.Subject]*spending
}

type spending struct {
	Tokens  float64
	Calls   int
	ByTrace amounts // tokens
}

func newService(cfg Config) *service {
	return &service{
		Requests: statistical.NewRate(statistical.RateConfig{Window: cfg.Window, HalfLife: cfg.HalfLife, MinWindows: cfg.MinWindows}),
		Volume:   statistical.NewQuantity(statistical.QuantityConfig{HalfLife: cfg.HalfLife, MinCount: cfg.MinWindows}),
		Cost:     statistical.NewQuantity(statistical.QuantityConfig{HalfLife: cfg.HalfLife, MinCount: cfg.MinWindows}),
		Spend:    statistical.NewQuantity(statistical.QuantityConfig{HalfLife: cfg.HalfLife, MinCount: 4 * cfg.MinSamples}),
		Past:     statistical.NewHeavyHitters(statistical.HeavyHittersConfig{Capacity: cfg.MaxUsers, HalfLife: cfg.HalfLife}),
		Active:   statistical.NewHeavyHitters(statistical.HeavyHittersConfig{Capacity: cfg.MaxUsers, HalfLife: cfg.HalfLife}),
		Open:     make(map[int64]*serviceWindow, 2),
	}
}

func (v *service) window(t time.Time, length time.Duration, closedUntil time.Time) *serviceWindow {
	n := t.UnixNano() / int64(length)
	if w, ok := v.Open[n]; ok {
		return w
	}
	start := time.Unix(0, n*int64(length)).UTC()
	if !start.Add(length).After(closedUntil) {
		return nil
	}
	w := &serviceWindow{Start: start, Costs: make(amounts), Users: make(map[engine.Subject]*spending)}
	v.Open[n] = w
	return w
}

func (w *serviceWindow) add(s *engine.Span, maxUsers int) {
	if s.Parent.IsZero() {
		w.Requests++
		w.Traces = appendTrace(w.Traces, s.TraceID, maxTraces)
	}
	if c := s.Usage.Cost; c > 0 {
		w.Cost += c
		w.Costs.add(s.TraceID, c)
	}
	tokens := s.Usage.Total()
	if tokens == 0 || !s.Operation.IsModelCall() {
		return
	}
	who := spender(s)
	if who.Kind == engine.SubjectService {
		return
	}
	u, ok := w.Users[who]
	if !ok {
		if len(w.Users) >= maxUsers {
			return
		}
		u = &spending{ByTrace: make(amounts)}
		w.Users[who] = u
	}
	u.Tokens += float64(tokens)
	u.Calls++
	u.ByTrace.add(s.TraceID, float64(tokens))
}

// amounts are how much each trace contributed, for a bounded number of traces.
type amounts map[engine.TraceID]float64

func (a amounts) add(id engine.TraceID, x float64) {
	if _, known := a[id]; known || len(a) < maxAmounts {
		a[id] += x
	}
}

// maxAmounts bounds the traces of a window whose amounts are kept.
const maxAmounts = 512

// bulk lists the traces that together make up most of the amount, largest first: many where much was done, one where a single
// request ran wild.
func (a amounts) bulk() []engine.TraceID {
	ids := slices.SortedFunc(maps.Keys(a), func(x, y engine.TraceID) int {
		return cmp.Or(cmp.Compare(a[y], a[x]), slices.Compare(x[:], y[:]))
	})
	var total, sum float64
	for _, x := range a {
		total += x
	}
	const most = 0.8
	for i, id := range ids {
		if sum >= most*total || i == maxTraces {
			return ids[:i]
		}
		sum += a[id]
	}
	return ids
}

// close judges the window and, where it was calm, learns from it.
func (v *service) close(cfg Config, name string, w *serviceWindow) []engine.Finding {
	out := []engine.Finding{v.traffic(cfg, name, w), v.cost(cfg, name, w)}
	users := v.users(cfg, name, w)
	out = append(out, users...)
	end := w.Start.Add(cfg.Window)
	if learns(&v.Busy, strange(out[0]), end, cfg.AdoptAfter) {
		v.Requests.Add(w.Start, w.Requests)
		v.Volume.Add(w.Start, float64(w.Requests))
	}
	if learns(&v.Dear, strange(out[1]), end, cfg.AdoptAfter) && w.Cost > 0 {
		v.Cost.Add(w.Start, w.Cost)
	}
	heavy := make(map[engine.Subject]bool)
	for _, f := range users {
		heavy[f.Subject] = strange(f)
	}
	for _, who := range w.spenders() {
		if u := w.Users[who]; !heavy[who] {
			v.Spend.Add(w.Start, u.Tokens)
			v.Past.Add(w.Start, userKey(who), u.Tokens)
			v.Active.Add(w.Start, userKey(who), 1)
		}
	}
	return out
}

// spenders lists the users of the window in a stable order.
func (w *serviceWindow) spenders() []engine.Subject {
	out := make([]engine.Subject, 0, len(w.Users))
	for who := range w.Users {
		out = append(out, who)
	}
	slices.SortFunc(out, func(a, b engine.Subject) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Value, b.Value))
	})
	return out
}

func userKey(s engine.Subject) string { return s.Kind + "|" + s.Value }

func (v *service) finding(cfg Config, t engine.AnomalyType, detector, name string, w *serviceWindow) engine.Finding {
	return engine.Finding{
		Type: t, Detector: detector, At: w.Start.Add(cfg.Window), Window: cfg.Window, P: 1,
		Series: engine.SeriesKey{Service: name}, Subject: engine.Subject{Kind: engine.SubjectService, Value: name},
	}
}

// busiest is the least factor of a rise in traffic over the busiest windows.
const busiest = 3

// traffic compares the number of requests with what the hour of day leads to expect, upwards and downwards.
func (v *service) traffic(cfg Config, name string, w *serviceWindow) engine.Finding {
	f := v.finding(cfg, engine.Traffic, "traffic", name, w)
	if f.Learning = v.Requests.Learning(); f.Learning {
		return f
	}
	expected := v.Requests.Expected(w.Start)
	f.Effect = engine.Effect{Baseline: expected, Current: float64(w.Requests), Unit: "requests"}
	f.P = min(1, 2*min(v.Requests.UpperP(w.Start, w.Requests), v.Requests.LowerP(w.Start, w.Requests)))
	// A rise must also be far above the busiest windows of any hour: an hour whose rhythm is not known yet is no anomaly.
	rise := f.Effect.Current >= cfg.TrafficRatio*expected && f.Effect.Current >= busiest*v.Volume.Quantile(0.99)
	f.Material = rise || f.Effect.Current*cfg.TrafficRatio <= expected
	f.Traces = w.Traces
	f.Reason = fmt.Sprintf("%d requests to %s in %s, normally %.1f", w.Requests, name, cfg.Window, expected)
	return f
}

func (v *service) cost(cfg Config, name string, w *serviceWindow) engine.Finding {
	f := v.finding(cfg, engine.CostOverrun, "cost", name, w)
	if f.Learning = v.Cost.Learning(); f.Learning || w.Cost == 0 {
		return f
	}
	f.Effect = engine.Effect{Baseline: v.Cost.Median(), Current: w.Cost, Unit: "cost"}
	f.P = v.Cost.UpperP(w.Cost)
	f.Material = f.Effect.Ratio() >= cfg.CostRatio
	f.Traces = w.Costs.bulk()
	f.Reason = fmt.Sprintf("%s cost %.2f in %s, normally %.2f", name, w.Cost, cfg.Window, f.Effect.Baseline)
	return f
}

// users compares what each user spent with what users spend in a window and with the user's own past. Both must stand out.
func (v *service) users(cfg Config, name string, w *serviceWindow) []engine.Finding {
	if v.Spend.Learning() {
		return nil
	}
	var out []engine.Finding
	for _, who := range w.spenders() {
		u := w.Users[who]
		p := min(1, v.Spend.UpperP(u.Tokens)*float64(len(w.Users)))
		if p > 0.05 {
			continue
		}
		f := v.finding(cfg, engine.TokenAbuse, "heavy_users", name, w)
		f.Subject, f.P, f.Traces = who, p, u.ByTrace.bulk()
		normal := v.Spend.Median()
		if past, known := v.Past.Get(userKey(who)); known {
			if windows, _ := v.Active.Get(userKey(who)); windows.Amount >= 2 {
				normal = max(normal, past.Amount/windows.Amount)
			}
		}
		f.Effect = engine.Effect{Baseline: normal, Current: u.Tokens, Unit: "tokens"}
		f.Material = f.Effect.Ratio() >= cfg.TokenRatio && u.Tokens-normal >= float64(cfg.TokenExcess) &&
			u.Tokens >= 2*cfg.TokenRatio*v.Spend.Median()
		f.Reason = fmt.Sprintf("%s %s used %.0f tokens in %d calls in %s, normally %.0f", who.Kind, who.Value, u.Tokens, u.Calls, cfg.Window, normal)
		out = append(out, f)
	}
	return out
}

// strange reports whether a baseline must not learn from what the finding is about.
func strange(f engine.Finding) bool {
	return !f.Learning && f.Material && f.P < notLearnt
}

// learns reports whether a baseline learns from a window that ended at end: from every calm one, and from strange ones once that
// has lasted for adoptAfter. since is where the baseline keeps how long it has lasted.
func learns(since *time.Time, strange bool, end time.Time, adoptAfter time.Duration) bool {
	switch {
	case !strange:
		*since = time.Time{}
	case since.IsZero():
		*since = end
	}
	return !strange || end.Sub(*since) >= adoptAfter
}

// notLearnt is the p-value below which a window is not calm.
const notLearnt = 1e-3
