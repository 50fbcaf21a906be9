package notify

import (
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// target is one receiver of an alert.
type target struct {
	receiver string
	after    time.Duration // of an escalation: how long it is waited for an acknowledgement; 0 is told at once
	mutes    []window
}

// router decides who is told of an alert. It is a pure function of the configuration, so that what is waiting in the outbox
// is understood after a restart, too.
type router struct {
	routes   []Route
	mutes    map[string]window
	fallback []string
}

// newRouter takes a configuration that passed Validate.
func newRouter(c Config) (*router, error) {
	r := &router{routes: c.Routes, mutes: make(map[string]window), fallback: c.DefaultReceivers}
	for _, m := range c.Mutes {
		w, err := newWindow(m)
		if err != nil {
			return nil, err
		}
		r.mutes[m.Name] = w
	}
	return r, nil
}

// targets lists the receivers of an alert, each once: the first route that names it counts, and being told at once counts
// before an escalation, and an early escalation before a late one.
func (r *router) targets(a engine.Alert) []target {
	var out []target
	add := func(t target) {
		for i := range out {
			if out[i].receiver == t.receiver {
				if t.after < out[i].after {
					out[i] = t
				}
				return
			}
		}
		out = append(out, t)
	}
	matched := false
	for _, route := range r.routes {
		if !route.Match.matches(a) {
			continue
		}
		matched = true
		var windows []window
		for _, name := range route.Mute {
			windows = append(windows, r.mutes[name])
		}
		for _, name := range route.Receivers {
			add(target{receiver: name, mutes: windows})
		}
		for _, e := range route.Escalate {
			for _, name := range e.Receivers {
				add(target{receiver: name, after: e.After, mutes: windows})
			}
		}
		if !route.Continue {
			break
		}
	}
	if !matched && a.Change != engine.ChangeAnomaly {
		for _, name := range r.fallback {
			add(target{receiver: name})
		}
	}
	return out
}

// target returns how a receiver is a target of an alert; told at once, where it is none.
func (r *router) target(a engine.Alert, receiver string) target {
	for _, t := range r.targets(a) {
		if t.receiver == receiver {
			return t
		}
	}
	return target{receiver: receiver}
}
