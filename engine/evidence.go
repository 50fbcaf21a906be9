package engine

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
)

// bySpan are the types whose abnormal traces are told by screening's word on their spans; for the others they are the
// traces of the incident itself.
var bySpan = map[AnomalyType]bool{LatencySpike: true, ErrorRate: true}

// maxSlices bounds the slices that evidence lists.
const maxSlices = 24

// gather collects the evidence of a group from what is remembered of its services' traffic. markers are those near it.
func (d *digests) gather(g *group, markers []ChangeMarker) Evidence {
	in := &g.incident
	from, to := g.since, in.LastSeen
	during, before := d.during(in.Services, from, to)
	if isSemantic(in.Type) {
		// Traces that the semantic tier did not look at are neither abnormal nor normal.
		unread := func(x *digest) bool { return x.prompt == "" }
		during, before = slices.DeleteFunc(during, unread), slices.DeleteFunc(before, unread)
	}
	ev := Evidence{From: from, To: to, Before: from, Changes: g.listChanges()}
	if len(before) > 0 {
		ev.Before = before[0].at
	}
	abnormal := make(map[*digest][]value)
	for _, x := range during {
		values, flagged := x.abnormal[in.Type]
		_, member := g.traces[x.id]
		switch {
		case bySpan[in.Type] && flagged:
			abnormal[x] = values
		case member && !bySpan[in.Type]:
			abnormal[x] = x.values
		}
	}
	ev.Slices = d.slices(in.Services, from, abnormal, during, before)
	for _, m := range markers {
		if slices.Contains(in.Services, m.Service) || m.Service == "" || touches(ev.Slices, m) {
			ev.Markers = append(ev.Markers, m)
		}
	}
	if isSemantic(in.Type) {
		ev.Terms = tellingTerms(abnormal, before, 8)
		if ev.Abnormal = g.example; ev.Abnormal != nil {
			ev.Normal, ev.Known = g.nearest, g.known
		}
	} else if x := slowest(abnormal); x != nil {
		ev.Abnormal = &Example{TraceID: x.id, SpanID: x.lead, Text: fmt.Sprintf("trace of %s", round(x.duration))}
		if y := typical(before); y != nil {
			ev.Normal = &Example{TraceID: y.id, SpanID: y.lead, Text: fmt.Sprintf("trace of %s", round(y.duration))}
		}
	}
	return ev
}

// slices measures how the abnormal concentrates in each value of each dimension, strongest first: by how much of the abnormal a
// value covers and by how much more often its traces are abnormal than the others (the F-measure of the two).
func (d *digests) slices(services []string, from time.Time, abnormal map[*digest][]value, during, before []*digest) []Slice {
	if len(abnormal) == 0 {
		return nil
	}
	type count struct{ abnormal, total, caught, before int }
	counts := make(map[value]*count)
	at := func(v value) *count {
		c, ok := counts[v]
		if !ok {
			c = &count{}
			counts[v] = c
		}
		return c
	}
	for _, x := range during {
		through, caught := abnormal[x]
		for _, v := range x.values {
			c := at(v)
			c.total++
			if caught {
				c.caught++
			}
		}
		for _, v := range through {
			at(v).abnormal++
		}
	}
	for _, x := range before {
		for _, v := range x.values {
			if c, ok := counts[v]; ok {
				c.before++
			}
		}
	}
	out := make([]Slice, 0, len(counts))
	for v, c := range counts {
		if c.abnormal == 0 {
			continue
		}
		s := Slice{Subject: v.Value(), Abnormal: c.abnormal, Total: c.total}
		s.AbnormalShare = float64(c.abnormal) / float64(len(abnormal))
		s.Rate = float64(c.abnormal) / float64(max(c.total, 1))
		// A trace that runs through the slice and is abnormal elsewhere is neither of the slice's abnormal nor of the rest.
		if s.Rest = len(during) - c.total; s.Rest > 0 {
			s.RestRate = float64(len(abnormal)-c.caught) / float64(s.Rest)
		}
		if len(before) > 0 {
			s.BaselineShare = float64(c.before) / float64(len(before))
		}
		if first, known := d.firstSeen(services, v); known {
			s.FirstSeen = first
			s.New = len(before) > 0 && 100*c.before <= len(before) && !first.Before(from.Add(-newWithin))
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b Slice) int {
		return cmp.Or(cmp.Compare(b.weight(), a.weight()), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Value, b.Value))
	})
	return out[:min(len(out), maxSlices)]
}

// newWithin is how long before the onset a value may have first appeared to count as new with it.
const newWithin = 30 * time.Minute

// weight is the harmonic mean of how much of the abnormal the slice covers and how pure it is beside the rest.
func (s *Slice) weight() float64 {
	purity := s.Rate - s.RestRate
	if purity <= 0 || s.AbnormalShare == 0 {
		return 0
	}
	return 2 * purity * s.AbnormalShare / (purity + s.AbnormalShare)
}

func touches(list []Slice, m ChangeMarker) bool {
	return slices.ContainsFunc(list, func(s Slice) bool {
		return partOf(s.Value, m.Subject) || partOf(s.Value, m.Version)
	})
}

// partOf reports whether a name is a whole part of a value: "gpt-4o" of "gpt-4o-2024-11-20", and "7" of "agent@7" but not of "17".
func partOf(value, name string) bool {
	if name == "" {
		return false
	}
	rest, found := strings.CutPrefix(value, name)
	if found && (rest == "" || strings.ContainsAny(rest[:1], "-@:/")) {
		return true
	}
	rest, found = strings.CutSuffix(value, name)
	return found && strings.ContainsAny(rest[len(rest)-1:], "-@:/")
}

func isSemantic(t AnomalyType) bool {
	switch t {
	case SemanticNovelty, TopicDrift, Jailbreak, PromptInjection, UngroundedResponse, PIIExposure:
		return true
	}
	return false
}

func slowest(abnormal map[*digest][]value) *digest {
	var best *digest
	for x := range abnormal {
		if best == nil || x.duration > best.duration || x.duration == best.duration && slices.Compare(x.id[:], best.id[:]) < 0 {
			best = x
		}
	}
	return best
}

// typical is the trace of median duration.
func typical(before []*digest) *digest {
	if len(before) == 0 {
		return nil
	}
	sorted := slices.Clone(before)
	slices.SortStableFunc(sorted, func(a, b *digest) int { return cmp.Compare(a.duration, b.duration) })
	return sorted[len(sorted)/2]
}

func round(d time.Duration) time.Duration {
	if d > 10*time.Second {
		return d.Round(time.Second)
	}
	return d.Round(time.Millisecond)
}

// tellingTerms are the words that are commoner in the abnormal prompts than in the calm ones, by log-odds with add-one
// smoothing over the prompts that hold them.
func tellingTerms(abnormal map[*digest][]value, before []*digest, n int) []string {
	counts := make(map[string][2]float64)
	var prompts [2]float64
	count := func(side int, prompt string) {
		if prompt == "" {
			return
		}
		prompts[side]++
		seen := make(map[string]bool)
		for _, w := range strings.FieldsFunc(strings.ToLower(prompt), func(r rune) bool { return !unicode.IsLetter(r) && r != '\'' }) {
			if len(w) < 4 || seen[w] {
				continue
			}
			seen[w] = true
			c := counts[w]
			c[side]++
			counts[w] = c
		}
	}
	for x := range abnormal {
		count(0, x.prompt)
	}
	for _, x := range before {
		count(1, x.prompt)
	}
	type term struct {
		word   string
		weight float64
	}
	var terms []term
	for w, c := range counts {
		if c[0] < 2 {
			continue
		}
		share, calm := (c[0]+1)/(prompts[0]+2), (c[1]+1)/(prompts[1]+2)
		if share <= 2*calm {
			continue
		}
		// Weighted by how many abnormal prompts it occurs in: a word that tells half of them says more than a rare one.
		terms = append(terms, term{w, share * math.Log(share/calm)})
	}
	slices.SortFunc(terms, func(a, b term) int { return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(a.word, b.word)) })
	out := make([]string, 0, n)
	for _, t := range terms[:min(n, len(terms))] {
		out = append(out, t.word)
	}
	return out
}

// evidenceDigest identifies evidence up to changes that would not alter what a note says: shares are rounded, growing
// counts and the moving end left out.
func evidenceDigest(ev Evidence) string {
	h := sha256.New()
	enc := json.NewEncoder(h)
	for _, s := range ev.Slices[:min(5, len(ev.Slices))] {
		_ = enc.Encode([]any{s.Kind, s.Value, math.Round(10 * s.AbnormalShare), s.New}) // a hash takes every write
	}
	for _, m := range ev.Markers {
		_ = enc.Encode(m.ID)
	}
	_ = enc.Encode([]any{ev.From.Unix(), ev.Terms, len(ev.Changes)})
	return hex.EncodeToString(h.Sum(nil)[:8])
}
