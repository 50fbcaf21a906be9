package semantic

import (
	"encoding/gob"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/statistical"
)

// Config says how much history the detectors need and how much they keep.
type Config struct {
	// Siblings is within which time texts come from the same conversation, user or campaign more often than by chance: how novel a
	// text is is measured against older ones. 0 measures it against all.
	Siblings     time.Duration `yaml:"siblings"`
	MinTexts     int           `yaml:"min_texts"`     // texts of a service that must be remembered before it is judged
	MinScores    int           `yaml:"min_scores"`    // calm scores that a p-value needs
	KeepScores   int           `yaml:"keep_scores"`   // calm scores kept, a service and length
	MaxServices  int           `yaml:"max_services"`  // services followed
	Neighbors    int           `yaml:"neighbors"`     // nearest normal texts that a text is compared with
	Duplicate    float64       `yaml:"duplicate"`     // similarity from which on a text adds nothing to the memory
	NoveltyDrop  float64       `yaml:"novelty_drop"`  // least fall of the similarity below the usual
	AttackFloor  float64       `yaml:"attack_floor"`  // least probability of an attack
	ExcerptBytes int           `yaml:"excerpt_bytes"` // of a text kept beside its vector

	MaxNormal  int           `yaml:"max_normal"`  // normal texts kept, a service, operation and kind of text
	MaxAge     time.Duration `yaml:"max_age"`     // event time after which a normal text that was not seen again is forgotten
	UserShare  float64       `yaml:"user_share"`  // most of them of one user
	BurstShare float64       `yaml:"burst_share"` // most of them of one hour
}

// DefaultConfig is what serve uses without a configuration file.
func DefaultConfig() Config {
	return Config{
		Siblings: 30 * time.Minute, MinTexts: 150, MinScores: 100, KeepScores: 256, MaxServices: 256, Neighbors: 3, Duplicate: 0.98,
		NoveltyDrop: 0.1, AttackFloor: 0.5, ExcerptBytes: 400,
		MaxNormal: 2_000, MaxAge: 60 * 24 * time.Hour, UserShare: 0.1, BurstShare: 0.25,
	}
}

// Validate names the first setting that makes no sense.
func (c Config) Validate() error {
	switch {
	case c.MinTexts < 1 || c.MinScores < 20 || c.KeepScores < c.MinScores || c.MaxServices < 1:
		return fmt.Errorf("semantic: min_texts and max_services must be positive, min_scores at least 20, keep_scores at least min_scores: %+v", c)
	case c.Neighbors < 1 || c.Neighbors > 100:
		return fmt.Errorf("semantic: neighbors must be 1 to 100, is %d", c.Neighbors)
	case c.Duplicate <= 0 || c.Duplicate > 1 || c.NoveltyDrop < 0 || c.AttackFloor < 0 || c.AttackFloor > 1:
		return fmt.Errorf("semantic: duplicate must be in (0, 1], novelty_drop not negative, attack_floor in [0, 1]: %+v", c)
	case c.Siblings < 0:
		return fmt.Errorf("semantic: siblings must not be negative, is %s", c.Siblings)
	case c.MaxNormal < c.MinTexts || c.MaxAge <= 0:
		return fmt.Errorf("semantic: max_normal must be at least min_texts, max_age positive, are %d, %v", c.MaxNormal, c.MaxAge)
	case !(c.UserShare > 0 && c.UserShare <= 1) || !(c.BurstShare > 0 && c.BurstShare <= 1):
		return fmt.Errorf("semantic: user_share and burst_share must be in (0, 1], are %v, %v", c.UserShare, c.BurstShare)
	case c.ExcerptBytes < 0:
		return fmt.Errorf("semantic: excerpt_bytes must not be negative, is %d", c.ExcerptBytes)
	}
	return nil
}

// calibration turns the raw scores of one detector into p-values, apart by pair of embedder and memory, service and length of the text.
//
// It is what detectors have in common, and makes them engine.Snapshotters. Histories are guarded by mu.
type calibration struct {
	cfg    Config
	mu     sync.Mutex
	groups *simplelru.LRU[groupKey, *history]
}

type groupKey struct {
	Pair, Service string
	Kind          engine.TextKind // "" for all that the detector reads
}

// history is the calm past of one service, as one pair sees it.
type history struct {
	Texts   int       // seen so far
	Enough  time.Time // event time of the latest of the first cfg.MinTexts
	Scores  books
	Wording wording
	Worded  books                 // of surprises by wording
	Usual   *statistical.Quantity // the effect that is usual
}

// books keep the calm scores of one kind.
type books struct {
	ByLength [len(lengths) + 1]scoreBook // one a class of length
	All      scoreBook
}

// scoreBook keeps calm scores in two generations, so that they follow a memory that grows denser: the complete one answers, the
// next one fills and then takes its place.
type scoreBook struct {
	Complete, Filling []float64
	complete, filling *statistical.Conformal // the same scores, to ask
}

func (b *scoreBook) add(x float64, capacity int) {
	if b.filling == nil {
		b.filling = statistical.NewConformal(capacity, 1)
	}
	b.filling.Add(x)
	if b.Filling = append(b.Filling, x); len(b.Filling) >= capacity {
		b.Complete, b.complete = b.Filling, b.filling
		b.Filling, b.filling = nil, nil
	}
}

// best is the generation to judge by, nil while neither has enough scores.
func (b *scoreBook) best(enough int) *statistical.Conformal {
	if b.complete != nil {
		return b.complete
	}
	if len(b.Filling) >= enough {
		return b.filling
	}
	return nil
}

// restore makes what the snapshot leaves out.
func (b *scoreBook) restore(capacity int) {
	full := b.Complete
	*b = scoreBook{Filling: b.Filling}
	filling := b.Filling
	b.Filling = nil
	for _, x := range filling {
		b.add(x, capacity)
	}
	if full == nil {
		return
	}
	b.Complete, b.complete = full, statistical.NewConformal(len(full), 1)
	for _, x := range full {
		b.complete.Add(x)
	}
}

// lengths are the upper bounds, in words, of the classes of length: the shorter a text, the noisier its vector.
var lengths = [...]int{6, 14, 32}

// anyLength stands for all classes.
const anyLength = -1

func lengthClass(text string) int {
	words := len(strings.Fields(text))
	for i, most := range lengths {
		if words <= most {
			return i
		}
	}
	return len(lengths)
}

// shares divides the looks that a trace gets among its user prompts' chunks, in proportion to the square root of their words: p over
// share is then a p-value of the whole trace (weighted Bonferroni; Genovese, Roeder and Wasserman, Biometrika 2006). "Yes, please"
// says less than a paragraph, and each gets its part of the chances to be strange. It is 0 for a chunk that is not compared.
func shares(texts []engine.Text) []float64 {
	out := make([]float64, len(texts))
	total := 0.0
	for i, t := range texts {
		if t.Kind == engine.TextUserPrompt && engine.Usable(t.Vector) {
			out[i] = math.Sqrt(float64(max(1, len(strings.Fields(t.Text)))))
			total += out[i]
		}
	}
	for i := range out {
		if out[i] > 0 {
			out[i] /= total
		}
	}
	return out
}

func newCalibration(cfg Config) (*calibration, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	groups, err := simplelru.NewLRU[groupKey, *history](cfg.MaxServices, nil)
	if err != nil {
		return nil, fmt.Errorf("semantic: %w", err)
	}
	return &calibration{cfg: cfg, groups: groups}, nil
}

func newHistory() *history {
	return &history{Usual: statistical.NewQuantity(statistical.QuantityConfig{})}
}

// of returns the history to learn into.
func (c *calibration) of(k groupKey) *history {
	h, ok := c.groups.Get(k)
	if !ok {
		h = newHistory()
		c.groups.Add(k, h)
	}
	return h
}

// peek returns the history to judge by, an empty one when there is none, and changes nothing.
func (c *calibration) peek(k groupKey) *history {
	if h, ok := c.groups.Peek(k); ok {
		return h
	}
	return newHistory()
}

// pValue is the p-value of a raw score, more meaning stranger; ok is false while there is too little history. A class of length is
// judged by its own once that is twice what all lengths together need: a tail that is fitted to few scores hides what is strange.
func (h *books) pValue(cfg Config, raw float64, class int) (p float64, ok bool) {
	var scores *statistical.Conformal
	if class != anyLength {
		scores = h.ByLength[class].best(2 * cfg.MinScores)
	}
	if scores == nil {
		scores = h.All.best(cfg.MinScores)
	}
	if scores == nil {
		return 1, false
	}
	return scores.UpperP(raw), true
}

func (h *books) add(cfg Config, raw float64, class int) {
	if class != anyLength {
		h.ByLength[class].add(raw, cfg.KeepScores)
	}
	h.All.add(raw, cfg.KeepScores)
}

// count notes a text that was learnt.
func (h *history) count(cfg Config, at time.Time) {
	if h.Texts < cfg.MinTexts && at.After(h.Enough) {
		h.Enough = at
	}
	h.Texts++
}

// historyState is one history in a snapshot. What is usual is in binary form, to be read into an object made as today's are.
type historyState struct {
	Key            groupKey
	Texts          int
	Enough         time.Time
	Scores, Worded books
	Wording        wording
	Usual          []byte
}

// Snapshot implements engine.Snapshotter.
func (c *calibration) Snapshot(w io.Writer) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]historyState, 0, c.groups.Len()) // least recently used first
	for _, k := range c.groups.Keys() {
		h, _ := c.groups.Peek(k)
		usual, err := h.Usual.MarshalBinary()
		if err != nil {
			return fmt.Errorf("semantic: snapshot %s: %w", k.Service, err)
		}
		out = append(out, historyState{k, h.Texts, h.Enough, h.Scores, h.Worded, h.Wording, usual})
	}
	if err := gob.NewEncoder(w).Encode(out); err != nil {
		return fmt.Errorf("semantic: snapshot: %w", err)
	}
	return nil
}

// Restore implements engine.Snapshotter. On an error nothing changes.
func (c *calibration) Restore(r io.Reader) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var in []historyState
	if err := gob.NewDecoder(r).Decode(&in); err != nil {
		return fmt.Errorf("semantic: restore: %w", err)
	}
	restored := make([]*history, len(in))
	for i, x := range in {
		h := newHistory()
		if err := h.Usual.UnmarshalBinary(x.Usual); err != nil {
			return fmt.Errorf("semantic: restore %s: %w", x.Key.Service, err)
		}
		if n := len(x.Wording.Pairs); n != 0 && n != 1<<pairBits {
			return fmt.Errorf("semantic: restore %s: %d counts of pairs", x.Key.Service, n)
		}
		h.Texts, h.Enough, h.Scores, h.Worded, h.Wording = x.Texts, x.Enough, x.Scores, x.Worded, x.Wording
		for _, b := range []*books{&h.Scores, &h.Worded} {
			for l := range b.ByLength {
				b.ByLength[l].restore(c.cfg.KeepScores)
			}
			b.All.restore(c.cfg.KeepScores)
		}
		restored[i] = h
	}
	c.groups.Purge()
	for i, h := range restored {
		c.groups.Add(in[i].Key, h)
	}
	return nil
}
