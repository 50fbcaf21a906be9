package topic

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// title names a cluster by its most telling words.
func (c *cluster) title(s *service) string {
	if terms := c.telling(s.Words, s.Total, 3); len(terms) > 0 {
		return strings.Join(terms, ", ")
	}
	return "topic " + strconv.Itoa(c.ID)
}

// Topics implements engine.TopicWatcher.
func (w *Watcher) Topics(of string) []engine.Topic {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []engine.Topic
	for _, k := range w.services.Keys() {
		if of != "" && k.Service != of {
			continue
		}
		s, _ := w.services.Peek(k)
		for _, c := range s.Clusters {
			if c.Weight < 2 {
				continue // one prompt is no topic
			}
			out = append(out, c.topic(k, s))
		}
	}
	slices.SortFunc(out, func(a, b engine.Topic) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Model, b.Model), cmp.Compare(b.Prompts, a.Prompts), cmp.Compare(a.ID, b.ID))
	})
	return out
}

// Unnamed implements engine.TopicWatcher.
func (w *Watcher) Unnamed(n int) []engine.Topic {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []engine.Topic
	for _, k := range w.services.Keys() {
		s, _ := w.services.Peek(k)
		for _, c := range s.Clusters {
			if c.Label == "" && c.Weight >= namedFrom {
				out = append(out, c.topic(k, s))
			}
		}
	}
	slices.SortFunc(out, func(a, b engine.Topic) int {
		return cmp.Or(cmp.Compare(b.Prompts, a.Prompts), cmp.Compare(a.Service, b.Service), cmp.Compare(a.ID, b.ID))
	})
	return out[:min(n, len(out))]
}

// namedFrom is how many prompts a topic has before it is worth a name.
const namedFrom = 20

// NameTopic implements engine.TopicWatcher.
func (w *Watcher) NameTopic(of engine.Topic, name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, ok := w.services.Peek(serviceKey{of.Model, of.Service})
	if !ok {
		return
	}
	for _, c := range s.Clusters {
		if strconv.Itoa(c.ID) == of.ID {
			c.Label = name
		}
	}
}

func (c *cluster) topic(k serviceKey, s *service) engine.Topic {
	t := engine.Topic{
		ID: strconv.Itoa(c.ID), Service: k.Service, Model: k.Model, Name: cmp.Or(c.Label, c.Name, c.title(s)), Terms: c.telling(s.Words, s.Total, 8),
		Example: c.Example, Prompts: c.Weight, Baseline: c.share.Rate(), P: c.P, FirstSeen: c.Born, LastSeen: c.Last,
		History: slices.Clone(c.History), State: engine.TopicSteady,
	}
	if n := len(c.History); n > 0 && c.History[n-1].Of > 0 {
		t.Share = float64(c.History[n-1].Prompts) / float64(c.History[n-1].Of)
	}
	var lately, of int
	for _, h := range c.History[max(0, len(c.History)-fadingWindows):] {
		lately += h.Prompts
		of += h.Of
	}
	switch {
	case s.Latest.Sub(c.Born) < newFor && c.Born.Sub(s.Since) >= newFor:
		t.State = engine.TopicNew
	case c.P < growthP:
		t.State = engine.TopicGrowing
	case of > 0 && len(c.History) >= fadingWindows && 2*float64(lately) < c.share.Rate()*float64(of):
		t.State = engine.TopicFading
	}
	return t
}

// fadingWindows are the latest windows over which a topic has to have lost half its share to be fading.
const fadingWindows = 6

// newFor is how long a topic is new; those of the first time are not, since all were then.
const newFor = 24 * time.Hour
