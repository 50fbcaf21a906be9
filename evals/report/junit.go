package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/llm-sentinel/llm-sentinel/evals"
)

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Skipped  int          `xml:"skipped,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Time     string      `xml:"time,attr"` // seconds
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Suite   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Failure *junitFailure `xml:"failure"`
	Skipped *junitSkipped `xml:"skipped"`
	Out     string        `xml:"system-out,omitempty"`
}

type junitFailure struct {
	Type    string `xml:"type,attr"` // "fall" or "requirement"
	Message string `xml:"message,attr"`
}

type junitSkipped struct {
	Message string `xml:"message,attr"`
}

// writeJUnit makes a test suite of each suite and a test case of each metric: skipped where it is unavailable, failed where it fell or
// is worse than required. A suite that is unavailable as a whole has one skipped case of its own name.
func writeJUnit(w io.Writer, r evals.Report, falls []Fall) error {
	cases := make(map[string]map[string]*junitCase)
	at := func(suite, name string) *junitCase {
		if cases[suite] == nil {
			cases[suite] = make(map[string]*junitCase)
		}
		if cases[suite][name] == nil {
			cases[suite][name] = &junitCase{Suite: suite, Name: name}
		}
		return cases[suite][name]
	}
	for suite, metrics := range r.Suites {
		for name, m := range metrics {
			c := at(suite, name)
			c.Out = summary(m)
			if !m.Met() {
				c.Failure = &junitFailure{Type: "requirement", Message: unmet(suite, name, m)}
			}
		}
	}
	for key, why := range r.Unavailable {
		suite, name, whole := strings.Cut(key, ".")
		if !whole {
			name = suite
		}
		at(suite, name).Skipped = &junitSkipped{Message: why}
	}
	for _, f := range falls {
		if !f.Fails() {
			continue
		}
		c := at(f.Suite, f.Metric)
		c.Skipped, c.Failure = nil, &junitFailure{Type: "fall", Message: f.String()}
	}

	out := junitSuites{Name: "sentinel eval"}
	for _, suite := range slices.Sorted(maps.Keys(cases)) {
		s := junitSuite{Name: suite, Time: fmt.Sprintf("%.3f", r.Seconds[suite])}
		for _, name := range slices.Sorted(maps.Keys(cases[suite])) {
			c := cases[suite][name]
			s.Cases = append(s.Cases, *c)
			s.Tests++
			switch {
			case c.Failure != nil:
				s.Failures++
			case c.Skipped != nil:
				s.Skipped++
			}
		}
		out.Tests, out.Failures, out.Skipped = out.Tests+s.Tests, out.Failures+s.Failures, out.Skipped+s.Skipped
		out.Suites = append(out.Suites, s)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(out); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// summary is a metric in one line.
func summary(m evals.Metric) string {
	s := fmt.Sprintf("%s (95 %% interval %s, n = %d)", withUnit(m.Value, m.Unit), interval(m), m.N)
	if b := best(m); b != "" {
		s += ", best baseline " + b
	}
	return s
}
