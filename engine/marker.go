package engine

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"
)

// markerBook remembers the latest change markers, so that evidence is gathered without asking the store.
type markerBook struct {
	mu   sync.Mutex
	list []ChangeMarker // oldest first
}

// maxMarkers bounds the markers that are remembered.
const maxMarkers = 1_000

// add takes markers that are not known yet and reports whether there were any.
func (b *markerBook) add(markers []ChangeMarker) (fresh bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range markers {
		if slices.ContainsFunc(b.list, func(have ChangeMarker) bool { return have.ID == m.ID }) {
			continue
		}
		i, _ := slices.BinarySearchFunc(b.list, m, func(a, b ChangeMarker) int {
			return cmp.Or(a.At.Compare(b.At), strings.Compare(a.ID, b.ID))
		})
		b.list = slices.Insert(b.list, i, m)
		fresh = true
	}
	if n := len(b.list) - maxMarkers; n > 0 {
		b.list = slices.Delete(b.list, 0, n)
	}
	return fresh
}

// between returns those with from <= At <= to, oldest first.
func (b *markerBook) between(from, to time.Time) []ChangeMarker {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []ChangeMarker
	for _, m := range b.list {
		if !m.At.Before(from) && !m.At.After(to) {
			out = append(out, m)
		}
	}
	return out
}
