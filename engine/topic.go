package engine

import (
	"context"
	"time"
)

// TopicWatcher follows what users ask. Its methods may be called concurrently. Where it is a Snapshotter too, what it learnt is kept.
type TopicWatcher interface {
	// Observe takes the user prompts of a trace that nothing flagged, once for each model that embedded them.
	Observe(o Observation)
	// Advance closes the windows that ended before the watermark and returns what they show.
	Advance(watermark time.Time) []Finding
	// Topics lists what users ask, of one service or of all with "", the largest of a service first.
	Topics(service string) []Topic
	// Unnamed lists up to n topics that nobody has named, the largest first; NameTopic gives one a name. A topic that is gone is left alone.
	Unnamed(n int) []Topic
	NameTopic(of Topic, name string)
}

// TopicNamer names a topic by its telling words and an example, both redacted. On an error the topic keeps its words.
type TopicNamer interface {
	NameTopic(ctx context.Context, terms []string, example string) (string, error)
}

// Topic is a cluster of what users ask a service.
type Topic struct {
	ID        string       `json:"id"`
	Service   string       `json:"service"`
	Model     string       `json:"model"` // that embedded the prompts
	Name      string       `json:"name"`
	Terms     []string     `json:"terms"`   // its most telling words
	Example   string       `json:"example"` // redacted
	State     TopicState   `json:"state"`
	Prompts   float64      `json:"prompts"`        // decayed count
	Share     float64      `json:"share"`          // of the prompts of the latest window that closed
	Baseline  float64      `json:"baseline_share"` // of those of calm windows
	P         float64      `json:"p"`              // that its share rose no more than by chance in the latest window
	FirstSeen time.Time    `json:"first_seen"`
	LastSeen  time.Time    `json:"last_seen"`
	History   []TopicPoint `json:"history"` // by window, oldest first
}

// TopicPoint is one window of a topic.
type TopicPoint struct {
	At      time.Time `json:"timestamp"` // end of the window
	Prompts int       `json:"prompts"`
	Of      int       `json:"of"` // all prompts of the service that count
}

// TopicState says where a topic stands.
type TopicState string

// The states.
const (
	TopicNew     TopicState = "new"     // first seen within the latest day
	TopicGrowing TopicState = "growing" // its share rose, p below 0.001
	TopicSteady  TopicState = "steady"
	TopicFading  TopicState = "fading" // less than half its usual share over the latest windows
)
