package notify

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Problem is something in a configuration that cannot work, or that hardly does what was meant.
type Problem struct {
	Where string // the setting, such as routes[2].receivers
	What  string
	Fatal bool // the service does not start with it
}

// String is the problem in one line.
func (p Problem) String() string { return p.Where + ": " + p.What }

// Verify looks for receivers that do not exist or that nothing is sent to, for routes that no alert reaches because an
// earlier one takes all that they match, for windows that never end, and for settings that cannot work. Several earlier routes
// that only together take everything are not found. The settings of a receiver's type are checked by its package.
func (c Config) Verify() []Problem {
	v := verifier{known: map[string]bool{}, used: map[string]bool{}, mutes: map[string]bool{}, muted: map[string]bool{}}
	v.limits(c)
	v.receivers(c.Receivers)
	v.windows(c.Mutes)
	v.names("default_receivers", c.DefaultReceivers)
	for i, r := range c.Routes {
		v.route(fmt.Sprintf("routes[%d]", i), r)
		for j, earlier := range c.Routes[:i] {
			if !earlier.Continue && earlier.Match.covers(r.Match) {
				v.warn(fmt.Sprintf("routes[%d]", i), "is never reached: routes[%d] matches everything that it does and does not continue", j)
				break
			}
		}
	}
	for i, r := range c.Receivers {
		if r.Name != "" && !v.used[r.Name] {
			v.warn(fmt.Sprintf("receivers[%d]", i), "nothing is ever sent to %q", r.Name)
		}
	}
	for i, m := range c.Mutes {
		if m.Name != "" && !v.muted[m.Name] {
			v.warn(fmt.Sprintf("mutes[%d]", i), "no route names %q", m.Name)
		}
	}
	return v.problems
}

type verifier struct {
	problems    []Problem
	known, used map[string]bool // receivers
	mutes       map[string]bool // windows
	muted       map[string]bool // windows that a route names
}

func (v *verifier) fail(where, format string, args ...any) {
	v.problems = append(v.problems, Problem{Where: where, What: fmt.Sprintf(format, args...), Fatal: true})
}

func (v *verifier) warn(where, format string, args ...any) {
	v.problems = append(v.problems, Problem{Where: where, What: fmt.Sprintf(format, args...)})
}

func (v *verifier) limits(c Config) {
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"poll_interval", c.PollInterval}, {"drain_timeout", c.DrainTimeout}, {"retry.initial", c.Retry.Initial}, {"retry.max", c.Retry.Max},
	} {
		if d.value <= 0 {
			v.fail(d.name, "%s is not positive", d.value)
		}
	}
	if c.Retry.Max < c.Retry.Initial {
		v.fail("retry.max", "%s is below retry.initial, %s", c.Retry.Max, c.Retry.Initial)
	}
	if c.Retry.MaxAttempts < 1 {
		v.fail("retry.max_attempts", "%d is below 1", c.Retry.MaxAttempts)
	}
}

func (v *verifier) receivers(list []Receiver) {
	for i, r := range list {
		where := fmt.Sprintf("receivers[%d]", i)
		switch {
		case r.Name == "":
			v.fail(where+".name", "is empty")
		case len(r.Name) > maxName || strings.ContainsFunc(r.Name, func(c rune) bool { return c < ' ' }):
			v.fail(where+".name", "is longer than %d bytes or holds control characters", maxName)
		case v.known[r.Name]:
			v.fail(where+".name", "there is another receiver called %q", r.Name)
		}
		v.known[r.Name] = true
		if !slices.Contains(types, r.Type) {
			v.fail(where+".type", "%q is none of %s", r.Type, strings.Join(types, ", "))
		}
		if r.GroupInterval < 0 {
			v.fail(where+".group_interval", "%s is negative", r.GroupInterval)
		}
		if r.Concurrency < 0 || r.Concurrency > 256 {
			v.fail(where+".concurrency", "%d is not from 0 to 256", r.Concurrency)
		}
		if r.Timeout < 0 {
			v.fail(where+".timeout", "%s is negative", r.Timeout)
		}
	}
}

func (v *verifier) windows(list []Mute) {
	for i, m := range list {
		where := fmt.Sprintf("mutes[%d]", i)
		switch {
		case m.Name == "":
			v.fail(where+".name", "is empty")
		case v.mutes[m.Name]:
			v.fail(where+".name", "there is another window called %q", m.Name)
		}
		v.mutes[m.Name] = true
		w, err := newWindow(m)
		if err != nil {
			v.fail(where, "%s", err)
		} else if w.always() {
			v.warn(where, "%q never ends: what it mutes is never sent", m.Name)
		}
	}
}

func (v *verifier) names(where string, names []string) {
	for _, name := range names {
		if !v.known[name] {
			v.fail(where, "there is no receiver called %q", name)
		}
		v.used[name] = true
	}
}

func (v *verifier) route(where string, r Route) {
	v.names(where+".receivers", r.Receivers)
	for _, name := range r.Mute {
		if !v.mutes[name] {
			v.fail(where+".mute", "there is no window called %q", name)
		}
		v.muted[name] = true
	}
	for i, e := range r.Escalate {
		step := fmt.Sprintf("%s.escalate[%d]", where, i)
		v.names(step+".receivers", e.Receivers)
		if e.After <= 0 {
			v.fail(step+".after", "%s is not positive", e.After)
		}
		if len(e.Receivers) == 0 {
			v.warn(step, "has no receivers")
		}
		for _, name := range e.Receivers {
			if slices.Contains(r.Receivers, name) {
				v.warn(step+".receivers", "%q was told at once: an escalation tells it nothing", name)
			}
		}
	}
	v.match(where+".match", r.Match)
	if len(r.Escalate) > 0 && len(r.Match.Changes) > 0 && !slices.ContainsFunc(r.Match.Changes, begins) {
		v.warn(where+".escalate", "never begins: the route matches none of %s, %s, %s", engine.ChangeRaised, engine.ChangeRaisedAgain, engine.ChangeReclassified)
	}
}

func (v *verifier) match(where string, m Match) {
	if m.MinSeverity != "" && m.MinSeverity.Rank() < 0 {
		v.fail(where+".min_severity", "%q is none of low, medium, high, critical", m.MinSeverity)
	}
	for _, s := range m.Severities {
		if s.Rank() < 0 {
			v.fail(where+".severities", "%q is none of low, medium, high, critical", s)
		}
	}
	if !slices.ContainsFunc(engine.Severities[:], m.severity) {
		v.warn(where, "matches nothing: min_severity and severities exclude each other")
	}
	for _, change := range m.Changes {
		if !slices.Contains(changes, change) {
			v.fail(where+".changes", "%q is none of %s", change, strings.Join(changes, ", "))
		}
	}
	if slices.Contains(m.Services, "") || slices.Contains(m.Types, "") {
		v.fail(where, "an empty pattern matches nothing")
	}
}
