package timeseries

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/llm-sentinel/llm-sentinel/evals"
	"github.com/llm-sentinel/llm-sentinel/evals/measure"
	"github.com/llm-sentinel/llm-sentinel/evals/timeseries/nab"
)

// Names of systems; published detectors have those of their folders.
const (
	ownName    = "sentinel"
	zScoreName = "windowed_z_score"
	randomName = "random"
	nullName   = "null"
)

// Suite measures one detector.
type Suite struct{ detector Constructor }

// New measures the detectors that a constructor makes; nil when there is none yet, which leaves the baselines.
func New(detector Constructor) *Suite { return &Suite{detector: detector} }

// Name is the suite's key in reports.
func (*Suite) Name() string { return "timeseries" }

// model is what Fit freezes.
type model struct {
	Thresholds map[string]map[string]float64 `json:"thresholds"` // by system, by profile
	Data       string                        `json:"data"`       // digest of the corpus
}

// Fit freezes each system's best threshold for each profile.
func (s *Suite) Fit(ctx context.Context, env evals.Env) (json.RawMessage, error) {
	f, err := s.field(ctx, env)
	if err != nil {
		return nil, err
	}
	m := model{Thresholds: make(map[string]map[string]float64), Data: f.digest()}
	for _, sys := range f.systems {
		m.Thresholds[sys.name] = sys.best()
	}
	return json.Marshal(m)
}

// Run measures with the best threshold on the data, as the benchmark does, and with frozen ones: those of the model, or those of the
// other half of the series.
func (s *Suite) Run(ctx context.Context, env evals.Env, frozen json.RawMessage) (evals.Result, error) {
	result := evals.NewResult(s.Name())
	f, err := s.field(ctx, env)
	if err != nil {
		return result, err
	}
	if frozen != nil {
		f.model = new(model)
		if err := json.Unmarshal(frozen, f.model); err != nil {
			return result, fmt.Errorf("timeseries: model: %w", err)
		}
	}
	f.measure(env.Seed, &result)
	f.draw(&result)
	return result, ctx.Err()
}

// field is a corpus with all systems that have scored it.
type field struct {
	corpus  []series
	own     *system   // nil when there is no detector
	systems []*system // own first, then the published ones, then the baselines
	model   *model    // nil when thresholds are cross-validated
	halves  [][2][]int
	notes   []string
}

// digest names the corpus by its values.
func (f *field) digest() string {
	values := make(map[string][]float64)
	for _, s := range f.corpus {
		values[s.name] = s.values
	}
	return evals.Digest(values)
}

// field loads the corpus and lets all systems score it.
func (s *Suite) field(ctx context.Context, env evals.Env) (*field, error) {
	corpus, err := load(env)
	if err != nil {
		return nil, err
	}
	f := &field{corpus: corpus, halves: halve(env.Seed, corpus)}
	type entrant struct {
		name string
		make func(series string) (Detector, error)
	}
	entrants := []entrant{
		{zScoreName, func(string) (Detector, error) { return new(measure.ZScore), nil }},
		{randomName, func(series string) (Detector, error) { return newRandom(env.Seed, series), nil }},
		{nullName, func(string) (Detector, error) { return null{}, nil }},
	}
	if s.detector != nil {
		entrants = append([]entrant{{ownName, func(string) (Detector, error) { return s.detector() }}}, entrants...)
	}
	steps := len(entrants) * len(corpus)
	for e, entrant := range entrants {
		scores := make([][]float64, len(corpus))
		for k, one := range corpus {
			env.Progress(e*len(corpus)+k, steps, entrant.name+" "+one.name)
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			d, err := entrant.make(one.name)
			if err != nil {
				return nil, fmt.Errorf("timeseries: %s: %w", entrant.name, err)
			}
			if scores[k], err = play(d, one); err != nil {
				return nil, err
			}
		}
		sys, err := newSystem(entrant.name, corpus, scores)
		if err != nil {
			return nil, err
		}
		f.systems = append(f.systems, sys)
	}
	env.Progress(steps, steps, "scoring")
	names, err := publishedDetectors(env)
	if err != nil {
		return nil, err
	}
	baselines := f.systems
	f.systems = nil // anew, with the published ones between
	if s.detector != nil {
		f.own, baselines = baselines[0], baselines[1:]
		f.systems = append(f.systems, f.own)
	}
	for _, name := range names {
		scores, err := loadPublished(env, name, corpus)
		if err != nil && !errors.Is(err, evals.ErrUnavailable) {
			return nil, err
		}
		var sys *system
		if err == nil {
			sys, err = newSystem(name, corpus, scores)
		}
		if err != nil {
			f.notes = append(f.notes, fmt.Sprintf("The published detector %s is left out: %v.", name, err))
			continue
		}
		f.systems = append(f.systems, sys)
	}
	f.systems = append(f.systems, baselines...)
	return f, nil
}

// statistic is one metric: what it rests on, and of a system its value as a function of cases, or why that cannot be had.
type statistic struct {
	name  string
	cases int
	of    func(sys *system) (value func(cases []int) float64, why string)
}

func (f *field) statistics() []statistic {
	var out []statistic
	for _, p := range nab.Profiles() {
		out = append(out, statistic{"nab_" + p.Name, len(f.corpus), func(sys *system) (func([]int) float64, string) {
			return sys.swept(p), f.noWindows(sys)
		}})
	}
	for _, p := range nab.Profiles() {
		out = append(out, statistic{"nab_" + p.Name + "_frozen", len(f.corpus), func(sys *system) (func([]int) float64, string) {
			if f.model == nil {
				if len(f.corpus) < 2 {
					return nil, "one series cannot be halved, and no model was given"
				}
				return sys.crossValidated(p, f.halves), f.noWindows(sys)
			}
			threshold, ok := f.model.Thresholds[sys.name][p.Name]
			if !ok {
				return nil, "the model was fitted without this detector"
			}
			return sys.frozen(p, threshold), f.noWindows(sys)
		}})
	}
	return append(out, statistic{"vus_pr", len(f.systems[0].volumes), func(sys *system) (func([]int) float64, string) {
		if len(sys.volumes) == 0 {
			return nil, "no series has rows both in windows and outside"
		}
		return sys.volume, ""
	}})
}

// noWindows is why nothing can be said of a corpus without a window that counts.
func (f *field) noWindows(sys *system) string {
	if sys.curve.Tallies[0].Windows == 0 {
		return "no series has a window past probation"
	}
	return ""
}

// measure fills in the metrics of the detector and the table of all systems.
func (f *field) measure(seed uint64, result *evals.Result) {
	table := evals.Table{Title: "Detectors on this corpus", Columns: []string{"detector"}}
	rows := make([][]string, len(f.systems))
	for i, sys := range f.systems {
		rows[i] = []string{sys.name}
	}
	for _, st := range f.statistics() {
		table.Columns = append(table.Columns, st.name)
		values := make(map[string]float64)
		var own, trivial func([]int) float64
		for i, sys := range f.systems {
			of, why := st.of(sys)
			if why != "" {
				rows[i] = append(rows[i], "-")
				if sys == f.own {
					result.Unavailable[st.name] = why
				}
				continue
			}
			values[sys.name] = of(measure.All(st.cases))
			rows[i] = append(rows[i], format(st.name, values[sys.name]))
			switch sys.name {
			case ownName:
				own = of
			case zScoreName:
				trivial = of
			}
		}
		if f.own == nil {
			result.Unavailable[st.name] = "there is no detector yet"
		}
		if own == nil {
			continue
		}
		interval := measure.Bootstrap(seed, st.cases, nil, own)
		m := evals.Metric{Value: interval.Value, Low: interval.Low, High: interval.High, N: st.cases, Baselines: make(map[string]float64)}
		for _, name := range []string{zScoreName, randomName, nullName} {
			if value, ok := values[name]; ok {
				m.Baselines[name] = value
			}
		}
		if trivial != nil {
			m.Gains = map[string]evals.Interval{zScoreName: measure.Paired(seed, st.cases, nil, own, trivial)}
		}
		result.Metrics[st.name] = m
	}
	table.Rows = rows
	result.Tables = append(result.Tables, table)
	result.Notes = append(f.explanation(), f.notes...)
}

func format(metric string, value float64) string {
	if metric == "vus_pr" {
		return fmt.Sprintf("%.3f", value)
	}
	return fmt.Sprintf("%.1f", value)
}

// explanation says how the figures came about.
func (f *field) explanation() []string {
	notes := []string{
		"nab_* is the benchmark's own protocol: one threshold a profile, the best one on this very corpus.",
		fmt.Sprintf("Intervals draw whole series; each resample of nab_* sweeps again, over %d thresholds.", grid),
		fmt.Sprintf("vus_pr is the mean over the series with windows, all rows, with buffers of 0 to %d rows.", longestBuffer),
	}
	if f.model != nil {
		if f.model.Data == f.digest() {
			notes = append(notes, evals.Flattered)
		}
		return append(notes, "nab_*_frozen has the thresholds of the model.")
	}
	return append(notes, fmt.Sprintf("nab_*_frozen has, for each half of the series, the best threshold of the other; the mean over %d halvings.", halvings))
}
