package semantic

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// coreset decides which texts stand for what is normal: few, each unlike the others, of many users and hours, and not too old. There is
// one set for each pair of embedder and memory, service, operation and kind of text. The vectors themselves are in a memory; it knows their ids only.
//
// It is diverse, since a text that is nearly the same as one of the set only refreshes that one. And nobody takes it over: a user, or an
// hour, that holds more than its share gives up one of its own texts for each new one. The share is of the texts that are there, so that
// it holds while the set fills too; and never less than twice an equal part, so that a service with one user can be learnt.
type coreset struct {
	cfg  Config
	sets *simplelru.LRU[coresetKey, *normalTexts]
}

type coresetKey struct{ Pair, Service, Operation, Kind string }

// normalTexts is one set, and who was learnt from lately.
type normalTexts struct {
	Texts   []normalText
	Learnt  []uint64 // hashed users of the latest texts, 0 for none; a ring
	Next    int
	Refused uint64 // texts that were left out, or displaced one of the same user or hour
}

type normalText struct {
	ID   string
	User uint64    // hashed; 0 when unknown
	Hour int64     // of event time in which it came
	Seen time.Time // when it, or nearly the same, was last seen
}

// minHeld is how many texts of a set anybody may hold: shares of small sets say nothing.
const minHeld = 20

func newCoreset(cfg Config) (*coreset, error) {
	sets, err := simplelru.NewLRU[coresetKey, *normalTexts](2*cfg.MaxServices, nil)
	if err != nil {
		return nil, fmt.Errorf("semantic: %w", err)
	}
	return &coreset{cfg: cfg, sets: sets}, nil
}

func (c *coreset) of(k coresetKey) *normalTexts {
	s, ok := c.sets.Get(k)
	if !ok {
		s = &normalTexts{}
		c.sets.Add(k, s)
	}
	return s
}

// hashUser keeps the names of users out of what is stored.
func hashUser(user string) uint64 {
	if user == "" {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(user)) // a hash takes every write
	return max(1, h.Sum64())
}

// hears reports whether a text of the user may count among the latest ones that detectors are calibrated by, and counts it if so.
func (s *normalTexts) hears(user uint64, cfg Config) bool {
	if user != 0 && len(s.Learnt) >= cfg.KeepScores {
		held, users := 0, make(map[uint64]bool)
		for _, u := range s.Learnt {
			users[u] = true
			if u == user {
				held++
			}
		}
		if held >= share(len(s.Learnt), cfg.UserShare, len(users)) {
			// The slot is given up all the same, or who once held the ring would keep it.
			s.hear(0, cfg)
			return false
		}
	}
	s.hear(user, cfg)
	return true
}

func (s *normalTexts) hear(user uint64, cfg Config) {
	if len(s.Learnt) < cfg.KeepScores {
		s.Learnt = append(s.Learnt, user)
		return
	}
	s.Next %= len(s.Learnt)
	s.Learnt[s.Next] = user
	s.Next++
}

// share is how many of n texts one of several may hold.
func share(n int, most float64, several int) int {
	return max(minHeld, int(float64(n)*max(most, 2/float64(max(1, several)))))
}

// refresh says that nearly the same as the text of that id was seen.
func (s *normalTexts) refresh(id string, at time.Time) {
	if i := slices.IndexFunc(s.Texts, func(t normalText) bool { return t.ID == id }); i >= 0 && at.After(s.Texts[i].Seen) {
		s.Texts[i].Seen = at
	}
}

// take lets a text in that is unlike the others, and returns the ids of those that it displaces: what is too old, one of the same user
// or hour where that has its share, and where the set is full the one that was not seen for longest.
func (s *normalTexts) take(id string, user uint64, at time.Time, cfg Config) (displaced []string) {
	t := normalText{ID: id, User: user, Hour: at.Unix() / 3600, Seen: at}
	s.Texts = slices.DeleteFunc(s.Texts, func(x normalText) bool {
		old := at.Sub(x.Seen) > cfg.MaxAge
		if old {
			displaced = append(displaced, x.ID)
		}
		return old
	})
	users, hours := make(map[uint64]int), make(map[int64]int)
	for _, x := range s.Texts {
		users[x.User]++
		hours[x.Hour]++
	}
	n := len(s.Texts)
	var among func(normalText) bool
	switch {
	case user != 0 && users[user] >= share(n, cfg.UserShare, len(users)):
		among = func(x normalText) bool { return x.User == user }
		s.Refused++
	case hours[t.Hour] >= share(n, cfg.BurstShare, len(hours)):
		among = func(x normalText) bool { return x.Hour == t.Hour }
		s.Refused++
	case n >= cfg.MaxNormal:
		// Who holds more than the share that holds by now gives way first.
		among = func(x normalText) bool { return x.User != 0 && users[x.User] > share(n, cfg.UserShare, len(users)) }
		if !slices.ContainsFunc(s.Texts, among) {
			among = func(normalText) bool { return true }
		}
	}
	if among != nil {
		displaced = append(displaced, s.drop(among))
	}
	s.Texts = append(s.Texts, t)
	return displaced
}

// drop removes the one of those that was not seen for longest, and returns its id.
func (s *normalTexts) drop(among func(normalText) bool) string {
	worst := -1
	for i, x := range s.Texts {
		if among(x) && (worst < 0 || cmp.Or(x.Seen.Compare(s.Texts[worst].Seen), cmp.Compare(x.ID, s.Texts[worst].ID)) < 0) {
			worst = i
		}
	}
	id := s.Texts[worst].ID
	s.Texts = slices.Delete(s.Texts, worst, worst+1)
	return id
}

// coresetState is one set in a snapshot.
type coresetState struct {
	Key coresetKey
	Set normalTexts
}

func (c *coreset) state() []coresetState {
	out := make([]coresetState, 0, c.sets.Len()) // least recently used first
	for _, k := range c.sets.Keys() {
		s, _ := c.sets.Peek(k)
		out = append(out, coresetState{k, *s})
	}
	return out
}

func (c *coreset) restore(in []coresetState) {
	c.sets.Purge()
	for i := range in {
		c.sets.Add(in[i].Key, &in[i].Set)
	}
}
