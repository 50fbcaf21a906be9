package engine

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
	"unique"

	"github.com/stretchr/testify/require"
)

// past makes digests of traffic of a service with several users, models and versions.
type past struct {
	*digests
	rng   *rand.Rand
	now   time.Time
	trace int
}

func newPast(change ...func(*EvidenceConfig)) *past {
	cfg := DefaultConfig().Evidence
	for _, f := range change {
		f(&cfg)
	}
	return &past{digests: newDigests(cfg), rng: rand.New(rand.NewPCG(1, 0)), now: began}
}

// add keeps one trace. abnormal, if it is of a type, says that screening held its span to be abnormal.
func (p *past) keep(change func(*Span), abnormal AnomalyType) *digest {
	p.trace++
	p.now = p.now.Add(10 * time.Second)
	s := span(p.trace, 1, 0, p.now)
	s.Operation, s.Provider, s.Model, s.ResponseModel = OpChat, "acme", "large", "large-01"
	s.User, s.Tenant = fmt.Sprint("user-", p.rng.IntN(30)), fmt.Sprint("tenant-", p.rng.IntN(3))
	if p.rng.IntN(3) == 0 {
		s.Model, s.ResponseModel = "small", "small-01"
	}
	change(&s)
	trace := NewTrace(s.TraceID, []Span{s})
	var findings []Finding
	if abnormal != "" {
		f := material(abnormal, 1e-6)
		f.Spans = []SpanID{s.SpanID}
		findings = append(findings, f)
	}
	d := newDigest(&trace, findings)
	d.learnt = abnormal == ""
	p.add("shop", d)
	return d
}

func asUsual(*Span) {}

// about is the group of an incident that began at from.
func (p *past) about(kind AnomalyType, from time.Time, members ...*digest) *group {
	x := &group{traces: make(map[TraceID]struct{}), changes: make(map[string]Change), since: from}
	x.incident = Incident{Type: kind, Subject: theShop, Services: []string{"shop"}, Onset: from, LastSeen: p.now}
	for _, d := range members {
		x.traces[d.id] = struct{}{}
	}
	return x
}

func sliceOf(ev Evidence, kind, v string) (Slice, bool) {
	for _, s := range ev.Slices {
		if s.Subject == (Subject{kind, v}) {
			return s, true
		}
	}
	return Slice{}, false
}

func TestSlicesFindWhatTheAbnormalHasInCommon(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		subject Subject
		mark    func(*Span)
		isNew   bool
	}{
		{Subject{SubjectModelVersion, "large-02"}, func(s *Span) { s.Model, s.ResponseModel = "large", "large-02" }, true},
		{Subject{SubjectUser, "user-7"}, func(s *Span) { s.User = "user-7" }, false},
		{Subject{SubjectRegion, "north"}, func(s *Span) { s.Region = "north" }, false},
		{Subject{SubjectServiceVersion, "shop@2"}, func(s *Span) { s.ServiceVersion = "2" }, true},
	} {
		t.Run(c.subject.Kind, func(t *testing.T) {
			p := newPast()
			for range 300 {
				p.keep(asUsual, "")
				if c.subject.Kind == SubjectRegion && p.trace%5 == 0 {
					p.keep(c.mark, "")
				}
			}
			from := p.now.Add(time.Second)
			for range 40 {
				p.keep(c.mark, LatencySpike)
				p.keep(asUsual, "")
				p.keep(asUsual, "")
			}
			ev := p.gather(p.about(LatencySpike, from), nil)
			require.NotEmpty(t, ev.Slices)
			require.Equal(t, c.subject, ev.Slices[0].Subject)
			top := ev.Slices[0]
			require.InDelta(t, 1, top.AbnormalShare, 1e-9)
			require.Equal(t, 40, top.Abnormal)
			require.Greater(t, top.Rate, 0.8)
			require.Less(t, top.RestRate, 0.1)
			require.Equal(t, c.isNew, top.New)
			if c.isNew {
				require.False(t, top.FirstSeen.Before(from))
			}
			service, ok := sliceOf(ev, SubjectService, "shop")
			require.True(t, ok)
			require.False(t, service.New)
			require.InDelta(t, 1, service.BaselineShare, 1e-9)
			require.Equal(t, from, ev.From)
			require.True(t, ev.Before.Before(from))
			require.NotNil(t, ev.Abnormal)
			require.NotNil(t, ev.Normal)
		})
	}
}

func TestVersionThatWasThereBeforeIsNotNew(t *testing.T) {
	t.Parallel()
	p := newPast()
	old := func(s *Span) { s.Model, s.ResponseModel = "large", "large-02" }
	for range 300 {
		p.keep(asUsual, "")
	}
	p.keep(old, "")
	for range 300 {
		p.keep(asUsual, "") // more than an hour
	}
	from := p.now
	for range 20 {
		p.keep(old, LatencySpike)
	}
	s, ok := sliceOf(p.gather(p.about(LatencySpike, from), nil), SubjectModelVersion, "large-02")
	require.True(t, ok)
	require.False(t, s.New)
}

func TestTellingTermsAreThoseOfTheNewTopic(t *testing.T) {
	t.Parallel()
	p := newPast()
	for i := range 200 {
		p.keep(asUsual, "").prompt = []string{"where does my parcel stay", "return these shoes please"}[i%2]
	}
	from := p.now.Add(time.Second)
	var members []*digest
	for range 20 {
		d := p.keep(asUsual, "")
		d.prompt, d.learnt = "please explain the orbit of this comet", false
		members = append(members, d)
	}
	g := p.about(SemanticNovelty, from, members...)
	g.example = &Example{Text: "please explain the orbit of this comet"}
	g.nearest = &Example{Text: "return these shoes please", Similarity: 0.2}
	ev := p.gather(g, nil)
	require.Contains(t, ev.Terms, "orbit")
	require.Contains(t, ev.Terms, "comet")
	require.NotContains(t, ev.Terms, "please", "it is asked that way every day")
	require.Equal(t, g.example, ev.Abnormal)
	require.Equal(t, g.nearest, ev.Normal)
}

func TestDigestChangesOnlyWithWhatANoteWouldSay(t *testing.T) {
	t.Parallel()
	p := newPast()
	for range 200 {
		p.keep(asUsual, "")
	}
	from := p.now.Add(time.Second)
	bad := func(s *Span) { s.ResponseModel, s.Model, s.User, s.Tenant = "large-02", "large", "", "" }
	look := func(markers ...ChangeMarker) string {
		return evidenceDigest(p.gather(p.about(LatencySpike, from), markers))
	}
	for range 50 {
		p.keep(bad, LatencySpike)
	}
	digest := look()
	for range 200 {
		p.keep(bad, LatencySpike)
	}
	require.Equal(t, digest, look(), "only counts grew and the end moved")
	require.NotEqual(t, digest, look(ChangeMarker{ID: "m1", Service: "shop"}), "a change is news")
	for range 400 {
		p.keep(func(s *Span) { s.ResponseModel, s.Model, s.User, s.Tenant = "small-02", "small", "", "" }, LatencySpike)
	}
	require.NotEqual(t, digest, look(), "another version is news")
}

func TestMarkersNearbyAreThoseThatTouchTheIncident(t *testing.T) {
	t.Parallel()
	p := newPast()
	for range 50 {
		p.keep(asUsual, "")
	}
	from := p.now
	for range 20 {
		p.keep(func(s *Span) { s.ResponseModel = "large-02" }, LatencySpike)
	}
	ev := p.gather(p.about(LatencySpike, from), []ChangeMarker{
		{ID: "same service", Service: "shop"}, {ID: "everywhere"}, {ID: "another service", Service: "billing"},
		{ID: "the model", Service: "registry", Subject: "large", Version: "large-02"},
	})
	var ids []string
	for _, m := range ev.Markers {
		ids = append(ids, m.ID)
	}
	require.Equal(t, []string{"same service", "everywhere", "the model"}, ids)
}

func TestEvidenceIsBoundedAndNeedsNoPast(t *testing.T) {
	t.Parallel()
	p := newPast()
	require.Empty(t, p.gather(p.about(ErrorRate, began), nil).Slices)
	for n := range 200 {
		p.keep(func(s *Span) { s.User, s.ErrorType, s.APIKey = fmt.Sprint(n), fmt.Sprint("e", n), fmt.Sprint("k", n) }, ErrorRate)
	}
	ev := p.gather(p.about(ErrorRate, began), nil)
	require.Len(t, ev.Slices, maxSlices)
	for _, s := range ev.Slices {
		require.False(t, s.New, "nothing to compare with: nothing is new")
	}
}

func TestDigestsAreBounded(t *testing.T) {
	t.Parallel()
	p := newPast(func(c *EvidenceConfig) { c.RecentPerService, c.CalmPerService, c.MaxServices = 50, 20, 3 })
	for n := range 2_000 {
		kind := AnomalyType("")
		if n%4 == 0 {
			kind = ErrorRate
		}
		p.keep(asUsual, kind)
	}
	s := p.services["shop"]
	require.Len(t, s.recent, 50)
	require.Len(t, s.calm, 20)
	require.Len(t, p.byTrace, 70, "what is forgotten is forgotten everywhere")
	for _, x := range s.calm {
		require.True(t, x.learnt, "the calm past is calm")
	}
	for n := range 10 {
		d := p.keep(asUsual, "")
		p.add(fmt.Sprint("service-", n), d)
	}
	require.Len(t, p.services, 3)
	for n := range 3 * maxFirstSeen {
		p.keep(func(s *Span) { s.ServiceVersion = fmt.Sprint(n) }, "")
	}
	require.LessOrEqual(t, len(p.services["shop"].firstSeen), maxFirstSeen)
}

func TestReservoirKeepsTheCalmPastEvenly(t *testing.T) {
	t.Parallel()
	p := newPast(func(c *EvidenceConfig) { c.RecentPerService, c.CalmPerService = 10, 200 })
	for range 2_000 {
		p.keep(asUsual, "")
	}
	older := 0
	for _, x := range p.services["shop"].calm {
		if x.at.Before(began.Add(10_000 * time.Second)) {
			older++
		}
	}
	require.InDelta(t, 100, older, 40)
}

func TestMarkersAreAboutWholeNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		value, name string
		want        bool
	}{
		{"gpt-4o-2024-11-20", "gpt-4o", true},
		{"gpt-4o-2024-11-20", "2024-11-20", true},
		{"agent@7", "7", true},
		{"agent@17", "7", false},
		{"7", "7", true},
		{"gpt-4o-mini", "gpt-4", false},
		{"anything", "", false},
		{"", "7", false},
	} {
		require.Equal(t, c.want, partOf(c.value, c.name), "%+v", c)
	}
}

// A trace that runs through a slice, but is abnormal for what happened elsewhere in it, is not held against the rest: rates are
// proportions.
func TestSliceRatesAreProportions(t *testing.T) {
	t.Parallel()
	p := newPast()
	for range 200 {
		p.keep(asUsual, "")
	}
	from := p.now.Add(time.Second)
	p.keep(func(s *Span) { s.Agent.Name = "planner" }, LatencySpike)
	for range 11 { // the planner takes part, and another span is the slow one
		d := p.keep(asUsual, LatencySpike)
		d.values = append(d.values, unique.Make(Subject{SubjectAgent, "planner"}))
	}
	ev := p.gather(p.about(LatencySpike, from), nil)
	_, found := sliceOf(ev, SubjectAgent, "planner")
	require.True(t, found)
	for _, s := range ev.Slices {
		require.LessOrEqual(t, s.RestRate, 1.0, s)
		require.LessOrEqual(t, s.Rate, 1.0, s)
		require.Equal(t, 12, s.Total+s.Rest, s)
	}
}
