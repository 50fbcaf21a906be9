package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// grouping drives a grouper through event time.
type grouping struct {
	*grouper
	t     *testing.T
	now   time.Time
	trace int
}

func newGrouping(t *testing.T, change ...func(*IncidentConfig)) *grouping {
	cfg := DefaultConfig()
	for _, f := range change {
		f(&cfg.Incidents)
	}
	return &grouping{grouper: newGrouper(cfg.Incidents, cfg.Severity, newDigests(cfg.Evidence)), t: t, now: began}
}

// anomaly is one abnormal trace.
func (g *grouping) anomaly(kind AnomalyType, who Subject, trace int) Anomaly {
	id := traceID(trace)
	return Anomaly{
		ID: fmt.Sprint(kind, trace), Type: kind, Subject: who, Service: "shop", At: g.now, Score: 2, Alpha: 1e-4,
		Effect: Effect{Baseline: 1, Current: 4, Unit: "s"}, TraceID: id, Severity: SeverityLow,
	}
}

// add gives the anomaly of a trace to the grouper, with the digest that the pipeline would keep of it.
func (g *grouping) see(kind AnomalyType, who Subject, trace int) *group {
	if _, known := g.digests.byTrace[traceID(trace)]; !known {
		s := span(trace, 1, 0, g.now)
		switch who.Kind {
		case SubjectUser:
			s.User = who.Value
		case SubjectAPIKey:
			s.APIKey = who.Value
		}
		x := NewTrace(traceID(trace), []Span{s})
		g.digests.add("shop", newDigest(&x, nil))
	}
	a := g.anomaly(kind, who, trace)
	return g.add(&a)
}

// several fresh traces are abnormal, a minute apart; it returns their numbers.
func (g *grouping) several(n int, kind AnomalyType, who Subject) (traces []int) {
	for range n {
		g.trace++
		g.see(kind, who, g.trace)
		traces = append(traces, g.trace)
		g.step(time.Minute)
	}
	return traces
}

func (g *grouping) step(d time.Duration) []*group {
	g.now = g.now.Add(d)
	return g.advance(g.now, g.now.Add(time.Hour))
}

func (g *grouping) incidents() (out []Incident) {
	for _, x := range g.sorted() {
		if x.opened {
			out = append(out, x.incident)
		}
	}
	return out
}

func (g *grouping) incident() Incident {
	g.t.Helper()
	list := g.incidents()
	require.Len(g.t, list, 1)
	return list[0]
}

var (
	theShop  = Subject{SubjectService, "shop"}
	theModel = Subject{SubjectModel, "large"}
	theKey   = Subject{SubjectAPIKey, "key-1"}
)

func TestAnomaliesOfOneFingerprintAreOneIncident(t *testing.T) {
	t.Parallel()
	g := newGrouping(t)
	g.several(30, ErrorRate, theModel)
	in := g.incident()
	require.Equal(t, ErrorRate, in.Type)
	require.Equal(t, theModel, in.Subject)
	require.Equal(t, []string{"shop"}, in.Services)
	require.Equal(t, began, in.Onset)
	require.Equal(t, 30, in.Anomalies)
	require.Equal(t, 1, in.Raised)
	require.Equal(t, StatusOpen, in.Status)
	require.NotEmpty(t, in.Title)
	require.NotEmpty(t, in.Severity)
	require.NotEmpty(t, in.Traces)

	other := newGrouping(t)
	other.several(30, ErrorRate, theModel)
	require.Equal(t, in.ID, other.incident().ID, "what is processed again is the same incident")
}

func TestDifferentSubjectsAreDifferentIncidents(t *testing.T) {
	t.Parallel()
	g := newGrouping(t)
	for range 8 {
		g.several(1, ErrorRate, theModel)
		g.several(1, ErrorRate, Subject{SubjectTool, "search"})
	}
	g.step(g.cfg.Settle)
	require.Len(t, g.incidents(), 2)
}

func TestFewTracesAreNoIncident(t *testing.T) {
	t.Parallel()
	g := newGrouping(t)
	for range 50 {
		g.see(LatencySpike, theShop, 1_000) // one slow request, however often it is judged
		g.step(time.Second)
	}
	g.several(g.cfg.MinTraces-2, LatencySpike, theShop)
	g.step(g.cfg.Settle + time.Minute)
	require.Empty(t, g.incidents())
	g.several(1, LatencySpike, theShop)
	g.step(g.cfg.Settle)
	g.step(g.cfg.Settle)
	require.Len(t, g.incidents(), 1)
}

func TestCandidatesAreForgottenWhenTheyGoStale(t *testing.T) {
	t.Parallel()
	g := newGrouping(t)
	for range 10 {
		g.several(g.cfg.MinTraces-1, LatencySpike, theShop)
		g.step(g.cfg.GroupGap + time.Minute)
		require.Empty(t, g.groups, "a few a day never add up")
	}
	require.Empty(t, g.incidents())
}

func TestSymptomJoinsItsCause(t *testing.T) {
	t.Parallel()
	g := newGrouping(t)
	for range 12 {
		for _, trace := range g.several(1, ErrorRate, theModel) {
			g.see(LatencySpike, theShop, trace)
		}
	}
	g.step(g.cfg.Settle)
	in := g.incident()
	require.Equal(t, ErrorRate, in.Type)
	require.Equal(t, []AnomalyType{LatencySpike}, in.Also)
}

func TestCauseTakesOverTheIncidentOfItsSymptom(t *testing.T) {
	t.Parallel()
	g := newGrouping(t)
	traces := g.several(12, LatencySpike, theShop)
	g.step(g.cfg.Settle)
	before := g.incident()
	require.Equal(t, LatencySpike, before.Type)
	for _, trace := range traces {
		g.see(Jailbreak, theKey, trace)
	}
	changed := g.step(time.Minute)
	require.Len(t, changed, 1)
	in := g.incident()
	require.Equal(t, Jailbreak, in.Type)
	require.Equal(t, before.ID, in.ID, "whoever looks after it keeps looking at it")
	require.Contains(t, in.Also, LatencySpike)
	require.Equal(t, 1, in.Raised)
	require.Equal(t, "reclassified", in.Timeline[len(in.Timeline)-1].Event)
}

func TestOneMoreSymptomIsNoNews(t *testing.T) {
	t.Parallel()
	g := newGrouping(t)
	told := make(map[string]int)
	listen := func(changed []*group) {
		for _, x := range changed {
			if latest, fresh := x.news(); fresh {
				x.told = latest
				told[latest.Event]++
			}
		}
	}
	for range 40 {
		g.trace++
		g.see(Jailbreak, theKey, g.trace)
		g.see(LatencySpike, theShop, g.trace)
		g.see(TokenAbuse, Subject{SubjectUser, "u"}, g.trace)
		listen(g.step(time.Minute))
	}
	require.Equal(t, map[string]int{"raised": 1}, told)
	require.Len(t, g.incidents(), 1)
	listen(g.step(g.cfg.ResolveAfter + g.cfg.Settle))
	require.Equal(t, map[string]int{"raised": 1, "resolved": 1}, told)
}

func TestWhatASymptomTouchesIsAffected(t *testing.T) {
	t.Parallel()
	g := newGrouping(t)
	for _, n := range g.several(10, ErrorRate, theModel) {
		a := g.anomaly(LatencySpike, Subject{SubjectService, "search"}, n)
		a.Service = "search"
		g.add(&a)
	}
	g.step(time.Hour)
	require.Equal(t, []string{"search", "shop"}, g.incident().Services)
}

// A group that waits for its cause waits in event time: a backlog that is read at once, and ends, is told at once.
func TestBacklogNeedNotWaitByTheClock(t *testing.T) {
	t.Parallel()
	g := newGrouping(t)
	for range 20 {
		g.trace++
		g.see(LatencySpike, theShop, g.trace)
		g.now = g.now.Add(time.Minute)
	}
	g.step(0)
	require.Equal(t, LatencySpike, g.incident().Type)
}

func TestUnrelatedIncidentsStayApart(t *testing.T) {
	t.Parallel()
	g := newGrouping(t)
	for range 12 {
		g.several(1, ErrorRate, theModel)
		g.several(1, LatencySpike, theShop) // other traces
	}
	g.step(g.cfg.Settle)
	require.Len(t, g.incidents(), 2)
}

// Two services whose calls fail at the same time share neither traces nor a subject: each has an incident.
func TestTheSameTroubleElsewhereIsNoSymptom(t *testing.T) {
	t.Parallel()
	g := newGrouping(t)
	other := Subject{SubjectService, "warehouse"}
	for range 12 {
		for _, subject := range []Subject{theShop, other} {
			for _, trace := range g.several(1, ErrorRate, subject) {
				g.digests.byTrace[traceID(trace)].abnormal = map[AnomalyType][]value{ErrorRate: nil}
			}
		}
	}
	g.step(g.cfg.Settle)
	require.Len(t, g.incidents(), 2)
}

func TestCalmResolvesAndTheSameTroubleIsRaisedAgain(t *testing.T) {
	t.Parallel()
	g := newGrouping(t)
	g.several(20, ErrorRate, theModel)
	g.step(g.cfg.Settle)
	first := g.incident()
	changed := g.step(g.cfg.ResolveAfter)
	require.Len(t, changed, 1)
	require.Equal(t, StatusResolved, changed[0].incident.Status)
	require.NotNil(t, changed[0].incident.ResolvedAt)
	require.Empty(t, g.incidents())

	g.step(g.cfg.GroupGap + time.Hour)
	g.several(20, ErrorRate, theModel)
	g.step(g.cfg.Settle)
	again := g.incident()
	require.Equal(t, first.ID, again.ID)
	require.Equal(t, 2, again.Raised)
	require.Equal(t, first.Onset, again.Onset)
	require.Equal(t, StatusOpen, again.Status)
	require.Nil(t, again.ResolvedAt)
	require.Equal(t, []string{"raised", "resolved", "raised again"}, events(again))
	require.Equal(t, 20, again.Anomalies)

	g.step(g.cfg.ResolveAfter + g.cfg.GroupGap)
	g.step(g.cfg.ReraiseWithin + time.Hour)
	g.several(20, ErrorRate, theModel)
	g.step(g.cfg.Settle)
	require.NotEqual(t, first.ID, g.incident().ID, "long after it is another one")
	require.Equal(t, 1, g.incident().Raised)
}

func events(in Incident) (out []string) {
	for _, e := range in.Timeline {
		out = append(out, e.Event)
	}
	return out
}

func TestTimelineKeepsTheLatest(t *testing.T) {
	t.Parallel()
	var list []TimelineEntry
	for n := range 3 * maxTimeline {
		list = appendEvent(list, TimelineEntry{Note: fmt.Sprint(n)})
	}
	require.Len(t, list, maxTimeline)
	require.Equal(t, fmt.Sprint(3*maxTimeline-1), list[maxTimeline-1].Note)
}

func TestNewTopicNeedsSeveralUsers(t *testing.T) {
	t.Parallel()
	for users, want := range map[int]int{1: 0, 2: 0, 3: 1} {
		g := newGrouping(t, func(c *IncidentConfig) { c.MinUsers = 3 })
		for n := range 40 {
			g.trace++
			s := span(g.trace, 1, 0, g.now)
			s.User = fmt.Sprint("user-", n%users)
			x := NewTrace(s.TraceID, []Span{s})
			g.digests.add("shop", newDigest(&x, nil))
			g.see(SemanticNovelty, theShop, g.trace)
			g.step(time.Minute)
		}
		g.step(g.cfg.Settle)
		require.Len(t, g.incidents(), want, "%d users", users)
		if want > 0 {
			require.Equal(t, users, g.incident().Users)
		}
	}
}

func TestGroupsAreBounded(t *testing.T) {
	t.Parallel()
	g := newGrouping(t, func(c *IncidentConfig) { c.MaxActive, c.MaxTracesKept = 20, 10 })
	for n := range 1_000 {
		g.several(1, LatencySpike, Subject{SubjectService, fmt.Sprint(n)})
		require.LessOrEqual(t, len(g.groups), 20)
	}
	g = newGrouping(t, func(c *IncidentConfig) { c.MaxTracesKept = 10 })
	g.several(500, ErrorRate, theModel)
	x := g.sorted()[0]
	require.Len(t, x.traces, 10)
	require.LessOrEqual(t, len(x.pending), maxPending)
	require.LessOrEqual(t, len(x.incident.Traces), maxShownTraces)
	require.LessOrEqual(t, len(x.changes), 4*maxChanges)
	require.Equal(t, 500, x.incident.Anomalies)
}

func TestIncidentOfAnEarlierRunGoesOn(t *testing.T) {
	t.Parallel()
	g := newGrouping(t)
	g.several(20, ErrorRate, theModel)
	g.step(g.cfg.Settle)
	active := g.incident()
	resolved := newGrouping(t)
	resolved.several(20, LatencySpike, theShop)
	resolved.step(resolved.cfg.Settle)
	over := resolved.step(resolved.cfg.ResolveAfter)[0].incident

	again := newGrouping(t)
	again.now, again.trace = g.now, g.trace
	again.restore([]Incident{active, over})
	require.Equal(t, active.ID, again.incident().ID)
	x := again.see(ErrorRate, theModel, 9_999)
	require.Equal(t, active.ID, x.incident.ID)
	require.Equal(t, active.Anomalies+1, x.incident.Anomalies)
	again.several(20, LatencySpike, theShop)
	again.step(again.cfg.Settle)
	for _, in := range again.incidents() {
		if in.Type == LatencySpike {
			require.Equal(t, over.ID, in.ID)
			require.Equal(t, 2, in.Raised)
			return
		}
	}
	require.Fail(t, "not raised again")
}

func TestTitlesNameWhatAndWhom(t *testing.T) {
	t.Parallel()
	for kind := range precedence {
		in := Incident{Type: kind, Subject: theModel, Services: []string{"a", "b", "c", "d"}, Effect: Effect{Baseline: 2, Current: 1}}
		require.NotEmpty(t, title(&in))
		require.NotContains(t, title(&in), "_")
	}
	require.Equal(t, "Traffic of shop fell away", title(&Incident{Type: Traffic, Services: []string{"shop"}, Effect: Effect{Baseline: 9, Current: 1}}))
	require.Contains(t, title(&Incident{Type: ErrorRate, Services: []string{"a", "b", "c", "d"}}), "and 1 more")
}
