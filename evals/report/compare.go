package report

import (
	"fmt"
	"maps"
	"slices"

	"github.com/llm-sentinel/llm-sentinel/evals"
)

// Fall is a metric that is worse than before by more than its interval allows, or that is no longer there.
type Fall struct {
	Suite   string
	Metric  string
	Old     evals.Metric
	New     evals.Metric // zero when it is missing
	Missing string       // why there is no new value; "" when there is one
}

// Fails says whether the fall fails a run. Times and rates belong to the machine that ran: their falls are told, and fail nothing.
func (f Fall) Fails() bool { return !f.Old.Speed }

// String is one line with the metric, the old value and its interval, and the new value.
func (f Fall) String() string {
	was := fmt.Sprintf("%s.%s: was %s, 95 %% interval %s to %s", f.Suite, f.Metric,
		withUnit(f.Old.Value, f.Old.Unit), figure(f.Old.Low), figure(f.Old.High))
	switch {
	case f.Missing != "":
		return was + ", is missing: " + f.Missing
	case f.Old.Speed:
		return fmt.Sprintf("%s, is %s (a matter of the machine)", was, withUnit(f.New.Value, f.New.Unit))
	}
	return fmt.Sprintf("%s, is %s", was, withUnit(f.New.Value, f.New.Unit))
}

// Compare lists, by suite and metric, what fell since an older report: a value below the older interval, or above it where lower is
// better, and a metric that was there and is not now. What is new or better is no fall. Suites that were not asked for this time are
// for the caller to leave out of old.
func Compare(old, now evals.Report) []Fall {
	var falls []Fall
	for _, suite := range slices.Sorted(maps.Keys(old.Suites)) {
		for _, name := range slices.Sorted(maps.Keys(old.Suites[suite])) {
			was := old.Suites[suite][name]
			is, there := now.Suites[suite][name]
			switch {
			case !there:
				falls = append(falls, Fall{Suite: suite, Metric: name, Old: was, Missing: absence(now, suite, name)})
			case fell(was, is):
				falls = append(falls, Fall{Suite: suite, Metric: name, Old: was, New: is})
			}
		}
	}
	return falls
}

// fell judges in the direction of the older metric: a change of direction must not turn a fall into a gain.
func fell(was, is evals.Metric) bool {
	is.Lower = was.Lower
	if was.Lower {
		return is.Worse(was.High)
	}
	return is.Worse(was.Low)
}

// absence is why a report has no such metric.
func absence(r evals.Report, suite, metric string) string {
	if why, said := r.Unavailable[suite+"."+metric]; said {
		return why
	}
	if why, said := r.Unavailable[suite]; said {
		return why
	}
	return "it was not measured"
}

// Failures are the lines for which a run fails: falls that count, and values that are worse than the user requires.
func Failures(r evals.Report, falls []Fall) []string {
	var lines []string
	for _, f := range falls {
		if f.Fails() {
			lines = append(lines, f.String())
		}
	}
	for _, suite := range slices.Sorted(maps.Keys(r.Suites)) {
		for _, name := range slices.Sorted(maps.Keys(r.Suites[suite])) {
			if m := r.Suites[suite][name]; !m.Met() {
				lines = append(lines, unmet(suite, name, m))
			}
		}
	}
	return lines
}

func unmet(suite, name string, m evals.Metric) string {
	return fmt.Sprintf("%s.%s: is %s, required is %s", suite, name, withUnit(m.Value, m.Unit), requirement(m))
}

// requirement is what is asked of a metric, in words.
func requirement(m evals.Metric) string {
	if m.Lower {
		return "at most " + withUnit(*m.Required, m.Unit)
	}
	return "at least " + withUnit(*m.Required, m.Unit)
}
