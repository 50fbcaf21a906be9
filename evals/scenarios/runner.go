package scenarios

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"golang.org/x/sync/errgroup"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/evals"
	"github.com/llm-sentinel/llm-sentinel/evals/scenario"
)

// Pipeline is what serves, as far as days are played into it.
type Pipeline interface {
	// Play works off batches in order, up to the last note.
	Play(ctx context.Context, batches iter.Seq2[engine.Batch, error]) error
	// Incidents lists all incidents with evidence and notes.
	Incidents(ctx context.Context) ([]engine.Incident, error)
	Close() error
}

// Parts are what cmd hands over.
type Parts struct {
	// Open makes a pipeline that knows only what ships in the binary; nil makes the suites unavailable. It is called concurrently.
	Open func(ctx context.Context) (Pipeline, error)
	// Decode maps telemetry that arrived at a time to the domain, as ingestion does. It is called concurrently.
	Decode func(at time.Time, traces ptrace.Traces, logs plog.Logs) engine.Batch
	// Window is the length of the windows that screening closes: the unit of delays, and the window of the thresholds beside it.
	Window time.Duration
	// Days is how many days are played, at least 1; 0 is DefaultDays.
	Days int
}

// DefaultDays is each condition once: some two minutes on two cores.
const DefaultDays = 10

// atOnce is how many days are played at the same time. Each has a pipeline with its store and memories in it.
const atOnce = 2

// Runner plays days and remembers what they came to. It is safe for concurrent use.
type Runner struct {
	parts  Parts
	mu     sync.Mutex
	played map[string]Played // by key of the day
}

// Played is what a day came to.
type Played struct {
	Truths    []scenario.Truth  `json:"truths"`
	Incidents []engine.Incident `json:"incidents"` // by onset
	Alarms    []alarm           `json:"alarms"`    // of the thresholds
}

// NewRunner makes a Runner that has played nothing.
func NewRunner(parts Parts) (*Runner, error) {
	if parts.Days == 0 {
		parts.Days = DefaultDays
	}
	switch {
	case parts.Open != nil && parts.Decode == nil:
		return nil, errors.New("scenarios: no decoder of telemetry")
	case parts.Days < 0:
		return nil, fmt.Errorf("scenarios: %d days are not at least 1", parts.Days)
	case parts.Window <= 0:
		return nil, fmt.Errorf("scenarios: window %s is not positive", parts.Window)
	}
	return &Runner{parts: parts, played: make(map[string]Played)}, nil
}

// Play plays the days of env's seed, those that were not played before, and returns what each came to, in the order of the days. Without
// a pipeline it is evals.ErrUnavailable.
func (r *Runner) Play(ctx context.Context, env evals.Env) ([]Day, []Played, error) {
	if r.parts.Open == nil {
		return nil, nil, evals.Unavailable("there is no pipeline to play traffic into")
	}
	days := Days(env.Seed, r.parts.Days)
	out := make([]Played, len(days))
	var mu sync.Mutex
	done := 0
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i, d := range days {
		group.Go(func() error {
			one, err := r.once(ctx, env, d)
			if err != nil {
				return fmt.Errorf("scenarios: %s: %w", d.Name(), err)
			}
			mu.Lock()
			defer mu.Unlock()
			out[i] = one
			done++
			env.Progress(done, len(days), d.Name())
			return nil
		})
	}
	err := group.Wait()
	return days, out, err
}

// once returns what the day came to in this process or in an interrupted run, and otherwise plays it.
func (r *Runner) once(ctx context.Context, env evals.Env, d Day) (Played, error) {
	key, err := d.key(r.parts.Window)
	if err != nil {
		return Played{}, err
	}
	r.mu.Lock()
	one, ok := r.played[key]
	r.mu.Unlock()
	if ok {
		return one, nil
	}
	if one, err = evals.Resume(env.Steps, key, func() (Played, error) { return r.play(ctx, d) }); err != nil {
		return Played{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.played[key] = one
	return one, nil
}

func (r *Runner) play(ctx context.Context, d Day) (Played, error) {
	s, err := scenario.New(d.Config)
	if err != nil {
		return Played{}, err
	}
	var out Played
	err = evals.With(ctx, r.parts.Open, func(p Pipeline) error {
		raw := newRawMetrics(r.parts.Window)
		err := p.Play(ctx, func(yield func(engine.Batch, error) bool) {
			markers := 0
			for step, more := s.Next(); more; step, more = s.Next() {
				b := r.parts.Decode(step.At, step.Traces, step.Logs)
				if m := step.Marker; m != nil {
					markers++
					b.Markers = append(b.Markers, changeMarker(*m, markers))
				}
				raw.add(b.Spans)
				if !yield(b, nil) {
					return
				}
			}
		})
		if err != nil {
			return err
		}
		out = Played{Truths: s.Truth(), Alarms: raw.alarms(d.Config.Start.Add(d.Config.Duration / 3))}
		out.Incidents, err = p.Incidents(ctx)
		return err
	})
	return out, err
}

func changeMarker(m scenario.Marker, number int) engine.ChangeMarker {
	return engine.ChangeMarker{
		ID: fmt.Sprintf("marker-%d", number), At: m.At, Kind: engine.MarkerKind(m.Kind), Service: m.Service,
		Version: m.Version, Previous: m.Previous, Description: m.Description,
	}
}
