package engine

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Feedback is a person's word on an anomaly or an incident.
type Feedback struct {
	ID        string     `json:"id"`
	At        time.Time  `json:"timestamp"`
	AnomalyID string     `json:"anomaly_id,omitempty"`
	Incident  string     `json:"incident_id,omitempty"`
	Verdict   string     `json:"verdict"`          // TruePositive or FalsePositive
	By        string     `json:"by,omitempty"`     // as the sender says: it identifies nobody
	KeyID     string     `json:"key_id,omitempty"` // the API key that it came with, by which votes are counted; "" where none was needed
	Comment   string     `json:"comment,omitempty"`
	Expires   time.Time  `json:"expires_at"` // from then on it counts no more
	Undone    *time.Time `json:"undone_at,omitempty"`
	UndoneBy  string     `json:"undone_by,omitempty"`
	Case      Case       `json:"case"`
}

// The verdicts of feedback.
const (
	TruePositive  = "true_positive"
	FalsePositive = "false_positive"
)

// Case is what a word is about, as it was when the word was said: what can be learnt once the record itself is gone. The engine takes it
// from its records, never from who sends the word.
type Case struct {
	Type      AnomalyType `json:"type,omitempty"`
	Service   string      `json:"service,omitempty"`
	Operation Operation   `json:"operation,omitempty"`
	Series    []SeriesKey `json:"series,omitempty"` // at most maxCaseSeries
	Title     string      `json:"title,omitempty"`
	Text      string      `json:"text,omitempty"` // redacted excerpt, where a text was abnormal
}

// maxCaseSeries bounds the series whose threshold one case moves.
const maxCaseSeries = 8

// subject is the incident or anomaly that the word is about.
func (f *Feedback) subject() string {
	if f.Incident != "" {
		return "incident:" + f.Incident
	}
	return "anomaly:" + f.AnomalyID
}

// counts reports whether the word is neither undone nor expired.
func (f *Feedback) counts(now time.Time) bool { return f.Undone == nil && now.Before(f.Expires) }

// FeedbackLog keeps people's words.
type FeedbackLog interface {
	// AddFeedback changes nothing where the id is known.
	AddFeedback(ctx context.Context, f Feedback) error
	// Feedback returns a page, newest first, of the words on one incident, or of all when incidentID is "".
	Feedback(ctx context.Context, incidentID, cursor string, limit int) (Page[Feedback], error)
	// UndoFeedback marks a word as taken back and returns it; one that was taken back before stays as it is. CodeNotFound when there is none.
	UndoFeedback(ctx context.Context, id string, at time.Time, by string) (Feedback, error)
}

// Records reads what the engine found. Anomaly and Incident return CodeNotFound when there is none.
type Records interface {
	Anomaly(ctx context.Context, id string) (Anomaly, error)
	Anomalies(ctx context.Context, q AnomalyQuery) (Page[Anomaly], error)
	Incident(ctx context.Context, id string) (Incident, error)
}

// FeedbackConfig says when people's words teach, and bounds what they can do.
type FeedbackConfig struct {
	Quorum       int           `yaml:"quorum"`        // API keys that must say the same of an incident or anomaly
	ExpireAfter  time.Duration `yaml:"expire_after"`  // wall time after which a word counts no more
	Step         float64       `yaml:"step"`          // by how much one false positive raises the threshold of its series
	MaxThreshold float64       `yaml:"max_threshold"` // highest threshold of a series; what scores above it is always told
	MaxLessons   int           `yaml:"max_lessons"`   // that teach at once, a service; beyond it the newest do
	MaxPerKey    int           `yaml:"max_per_key"`   // words of one API key that count at once; above it no more are taken
	MaxFeedback  int           `yaml:"max_feedback"`  // newest words that are looked at
}

// DefaultFeedback asks for two keys, forgets after thirty days and at most doubles a threshold.
func DefaultFeedback() FeedbackConfig {
	return FeedbackConfig{
		Quorum: 2, ExpireAfter: 30 * 24 * time.Hour, Step: 0.25, MaxThreshold: 2, MaxLessons: 200, MaxPerKey: 500, MaxFeedback: 10_000,
	}
}

func (c FeedbackConfig) validate() error {
	switch {
	case c.Quorum < 1 || c.Quorum > 100:
		return fmt.Errorf("engine: feedback.quorum must be 1 to 100, is %d", c.Quorum)
	case c.ExpireAfter <= 0:
		return fmt.Errorf("engine: feedback.expire_after must be positive, is %v", c.ExpireAfter)
	case !(c.Step >= 0 && c.Step <= 1):
		return fmt.Errorf("engine: feedback.step must be in [0, 1], is %v", c.Step)
	case !(c.MaxThreshold >= 1 && c.MaxThreshold <= 10):
		return fmt.Errorf("engine: feedback.max_threshold must be in [1, 10], is %v", c.MaxThreshold)
	case c.MaxLessons < 1 || c.MaxPerKey < 1 || c.MaxFeedback < c.MaxPerKey:
		return fmt.Errorf("engine: feedback.max_lessons and max_per_key must be positive, max_feedback at least max_per_key, are %d, %d, %d",
			c.MaxLessons, c.MaxPerKey, c.MaxFeedback)
	}
	return nil
}

// Lesson is what people said together of one incident or anomaly.
type Lesson struct {
	ID        string    `json:"id"`
	AnomalyID string    `json:"anomaly_id,omitempty"`
	Incident  string    `json:"incident_id,omitempty"`
	Verdict   string    `json:"verdict,omitempty"` // "" while there is no quorum, or no majority
	True      int       `json:"true_positive"`     // API keys that say so
	False     int       `json:"false_positive"`
	Quorum    int       `json:"quorum"`
	Teaches   bool      `json:"teaches"` // false without a verdict, or where the service has too many newer ones
	Since     time.Time `json:"since"`   // of the first word for the verdict, or of the first at all
	Expires   time.Time `json:"expires_at"`
	Case      Case      `json:"case"`
}

// SeriesThreshold is a score that a series must exceed instead of 1.
type SeriesThreshold struct {
	Type      AnomalyType `json:"type"`
	Series    SeriesKey   `json:"series"`
	Threshold float64     `json:"threshold"`
}

// deliberate makes lessons of words, the newest first. An API key has one vote on a subject, its latest; all words that came without a
// key are one vote together. A verdict needs a quorum of keys and a majority, so that no key alone reaches one or overturns one.
func deliberate(words []Feedback, cfg FeedbackConfig, now time.Time) []Lesson {
	type ballot struct{ subject, key string }
	latest := make(map[ballot]*Feedback)
	for i := range words {
		f := &words[i]
		b := ballot{f.subject(), f.KeyID}
		if !f.counts(now) {
			continue
		}
		if have, ok := latest[b]; !ok || f.At.After(have.At) || f.At.Equal(have.At) && f.ID > have.ID {
			latest[b] = f
		}
	}
	subjects := make(map[string][]*Feedback)
	for b, f := range latest {
		subjects[b.subject] = append(subjects[b.subject], f)
	}
	lessons := make([]Lesson, 0, len(subjects))
	for subject, votes := range subjects {
		lessons = append(lessons, count(subject, votes, cfg.Quorum))
	}
	slices.SortFunc(lessons, func(a, b Lesson) int { return cmp.Or(b.Since.Compare(a.Since), strings.Compare(a.ID, b.ID)) })
	taught := make(map[string]int)
	for i := range lessons {
		l := &lessons[i]
		if l.Verdict != "" && taught[l.Case.Service] < cfg.MaxLessons {
			taught[l.Case.Service]++
			l.Teaches = true
		}
	}
	return lessons
}

// lessonID is the same for the same subject, in every run.
func lessonID(subject string) string {
	sum := sha256.Sum256([]byte(subject))
	return "lesson-" + hex.EncodeToString(sum[:8])
}

// count adds up the votes on one subject, each of another key.
func count(subject string, votes []*Feedback, quorum int) Lesson {
	slices.SortFunc(votes, func(a, b *Feedback) int { return cmp.Or(a.At.Compare(b.At), strings.Compare(a.ID, b.ID)) })
	l := Lesson{ID: lessonID(subject), AnomalyID: votes[0].AnomalyID, Incident: votes[0].Incident, Quorum: quorum}
	for _, f := range votes {
		if f.Verdict == TruePositive {
			l.True++
		} else {
			l.False++
		}
	}
	switch {
	case l.True >= quorum && l.True > l.False:
		l.Verdict = TruePositive
	case l.False >= quorum && l.False > l.True:
		l.Verdict = FalsePositive
	}
	winners := votes
	if l.Verdict != "" {
		winners = slices.DeleteFunc(slices.Clone(votes), func(f *Feedback) bool { return f.Verdict != l.Verdict })
	}
	l.Since, l.Case = winners[0].At, winners[0].Case
	// It stands until too few are left; without a verdict until the last word is gone.
	expiries := make([]time.Time, len(winners))
	for i, f := range winners {
		expiries[i] = f.Expires
	}
	slices.SortFunc(expiries, time.Time.Compare)
	l.Expires = expiries[len(expiries)-1]
	if l.Verdict != "" {
		l.Expires = expiries[len(expiries)-quorum]
	}
	return l
}

type thresholdKey struct {
	anomaly AnomalyType
	series  SeriesKey
}

// thresholds are the scores that series must exceed, of those for which that is more than 1: each false positive adds a step, each true
// positive of the same series takes one back.
func thresholds(lessons []Lesson, cfg FeedbackConfig) map[thresholdKey]float64 {
	steps := make(map[thresholdKey]int)
	for i := range lessons {
		l := &lessons[i]
		if !l.Teaches {
			continue
		}
		step := 1
		if l.Verdict == TruePositive {
			step = -1
		}
		for _, s := range l.Case.Series {
			steps[thresholdKey{l.Case.Type, s}] += step
		}
	}
	out := make(map[thresholdKey]float64)
	for k, n := range steps {
		if t := min(cfg.MaxThreshold, 1+cfg.Step*float64(n)); t > 1 {
			out[k] = t
		}
	}
	return out
}

// listThresholds is the same for people, in a fixed order.
func listThresholds(of map[thresholdKey]float64) []SeriesThreshold {
	out := make([]SeriesThreshold, 0, len(of))
	for _, k := range slices.Collect(maps.Keys(of)) {
		out = append(out, SeriesThreshold{k.anomaly, k.series, of[k]})
	}
	slices.SortFunc(out, func(a, b SeriesThreshold) int {
		return cmp.Or(cmp.Compare(b.Threshold, a.Threshold), cmp.Compare(a.Type, b.Type), strings.Compare(a.Series.String(), b.Series.String()))
	})
	return out
}

// remembered says what of a lesson a memory keeps: a text that turned out to be normal, an attack, or an incident. ok is false when there
// is no text to remember.
func (l *Lesson) remembered() (m Memo, ok bool) {
	m = Memo{
		ID: l.ID, Text: l.Case.Text, Service: l.Case.Service, Operation: string(l.Case.Operation), Source: cmp.Or(l.Incident, l.AnomalyID), At: l.Since,
	}
	kind, textual := exampleKinds[l.Case.Type]
	switch {
	case l.Verdict == FalsePositive && textual:
		m.Collection = Collection{Purpose: PurposeNormal, Kind: kind}
	case l.Verdict == TruePositive && (l.Case.Type == Jailbreak || l.Case.Type == PromptInjection):
		m.Collection = Collection{Purpose: PurposeAttack, Kind: kind}
		m.Family, m.Service, m.Operation = FamilyConfirmed, "", "" // an attack is one in every service
	case l.Verdict == TruePositive:
		m.Collection = Collection{Purpose: PurposeIncident, Kind: TextIncident}
		m.Text = strings.TrimSpace(l.Case.Title + "\n" + l.Case.Text)
	}
	return m, l.Teaches && m.Collection.Kind != "" && m.Text != ""
}

// FamilyConfirmed is the family of remembered attacks that people confirmed.
const FamilyConfirmed = "confirmed"

// exampleKinds are the kinds of text that the examples of an anomaly type are of.
var exampleKinds = map[AnomalyType]TextKind{
	SemanticNovelty: TextUserPrompt, TopicDrift: TextUserPrompt, Jailbreak: TextUserPrompt, PromptInjection: TextDocument,
}
