package evals

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"time"
)

// Options say how suites are run.
type Options struct {
	Data     string                                           // folder with the labelled data
	Seed     uint64                                           // of all randomness
	Model    *Model                                           // what was frozen; nil cross-validates inside the data
	Strict   bool                                             // a malformed line ends the run
	Steps    string                                           // folder for what an interrupted run had done; "" keeps nothing
	Version  string                                           // of the program
	Log      *slog.Logger                                     // never nil
	Progress func(suite string, done, total int, step string) // never nil
}

// Run runs suites one after the other. A suite that is unavailable is reported as such; any other error ends the run.
func Run(ctx context.Context, suites []Suite, opt Options) (Report, error) {
	report := Report{
		Suites: make(map[string]map[string]Metric), Unavailable: make(map[string]string), Malformed: make(map[string]int), Skipped: []Skipped{},
		Seed: opt.Seed, Version: opt.Version, Seconds: make(map[string]float64),
	}
	skips := skips{counts: report.Malformed}
	if opt.Model != nil {
		report.Frozen = opt.Model.Sum
	}
	for _, s := range suites {
		var frozen json.RawMessage
		if opt.Model != nil {
			var ok bool
			if frozen, ok = opt.Model.Suites[s.Name()]; !ok {
				report.Unavailable[s.Name()] = "the model was fitted without this suite"
				continue
			}
		}
		begun := time.Now()
		result, err := s.Run(ctx, opt.env(s.Name(), &skips), frozen)
		if errors.Is(err, ErrUnavailable) {
			report.Unavailable[s.Name()] = err.Error()
			continue
		}
		if err == nil {
			err = result.finite()
		}
		if err != nil {
			return report, fmt.Errorf("suite %s: %w", s.Name(), err)
		}
		report.Seconds[s.Name()] = time.Since(begun).Seconds()
		report.Suites[s.Name()] = result.Metrics
		for metric, why := range result.Unavailable {
			report.Unavailable[s.Name()+"."+metric] = why
		}
		report.Results = append(report.Results, result)
	}
	skips.summarise(opt.Log)
	report.Skipped = append(report.Skipped, skips.listed...)
	return report, ctx.Err()
}

// Fit freezes what suites learn from the data, and says of each how many malformed lines were left out. That none of them could be fitted
// is an error.
func Fit(ctx context.Context, suites []Suite, opt Options) (Model, map[string]int, error) {
	m := Model{Version: opt.Version, Suites: make(map[string]json.RawMessage)}
	skips := skips{counts: make(map[string]int)}
	var missing error
	for _, s := range suites {
		frozen, err := s.Fit(ctx, opt.env(s.Name(), &skips))
		if errors.Is(err, ErrUnavailable) {
			opt.Log.Warn("suite left out of the model", "suite", s.Name(), "reason", err)
			missing = cmp.Or(missing, fmt.Errorf("fit %s: %w", s.Name(), err))
			continue
		}
		if err != nil {
			return m, nil, fmt.Errorf("fit %s: %w", s.Name(), err)
		}
		if frozen == nil {
			frozen = json.RawMessage("null")
		}
		m.Suites[s.Name()] = frozen
	}
	skips.summarise(opt.Log)
	if len(m.Suites) == 0 && missing != nil {
		return m, nil, missing
	}
	return m, skips.counts, ctx.Err()
}

func (opt Options) env(suite string, skips *skips) Env {
	steps := opt.Steps
	if steps != "" {
		steps = filepath.Join(steps, suite)
	}
	return Env{
		Data: opt.Data, Seed: opt.Seed, Log: opt.Log, Steps: NewSteps(steps),
		Progress: func(done, total int, step string) { opt.Progress(suite, done, total, step) },
		Skip: func(file string, line int, reason error) error {
			if opt.Strict {
				return fmt.Errorf("%s:%d: %w", file, line, reason)
			}
			skips.add(opt.Log, Skipped{Suite: suite, File: file, Line: line, Reason: reason.Error()})
			return nil
		},
	}
}

// finite refuses figures that are no numbers: they hide a case that the suite did not think of, and JSON has no name for them.
func (r Result) finite() error {
	for name, m := range r.Metrics {
		values := []float64{m.Value, m.Low, m.High}
		for _, b := range m.Baselines {
			values = append(values, b)
		}
		for _, g := range m.Gains {
			values = append(values, g.Value, g.Low, g.High)
		}
		for _, x := range values {
			if math.IsNaN(x) || math.IsInf(x, 0) {
				return fmt.Errorf("metric %s is not a number: %+v", name, m)
			}
		}
	}
	return nil
}
