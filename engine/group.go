package engine

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unique"
)

// grouper turns anomalies into few incidents. Anomalies of one type about one subject share a fingerprint and form a group; a
// group with enough abnormal traces becomes an incident, unless what it shows is a symptom of another one. It is guarded by
// its owner.
type grouper struct {
	cfg      IncidentConfig
	severity SeverityConfig
	digests  *digests
	groups   map[string]*group   // active, by fingerprint
	resolved map[string]Incident // by fingerprint, for re-raise
	recent   []*group            // resolved ones whose last symptoms may still come
	pushed   []*group            // resolved to make room, and not told yet
}

// group is a candidate until opened, then an active incident.
type group struct {
	incident Incident
	opened   bool
	windowed bool      // its onset is that of a window
	since    time.Time // onset of this time, where the incident was raised before
	ready    time.Time // event time at which it had enough support; zero before
	traces   map[TraceID]struct{}
	order    []TraceID // of traces, oldest first
	changes  map[string]Change
	pending  []Anomaly      // of a candidate, to be given their incident once it opens
	example  *Example       // of its strongest anomaly
	nearest  *Example       // the normal example beside it
	known    *Example       // the known attack that it resembles
	gathered int            // anomalies when evidence was last gathered
	told     TimelineEntry  // the latest event that was told
	recalled []PastIncident // confirmed by people, with a like example
}

// Bounds of what a group keeps and an incident shows.
const (
	maxPending     = 256
	maxShownTraces = 32
	maxChanges     = 8
	maxTimeline    = 200
)

func newGrouper(cfg IncidentConfig, severity SeverityConfig, d *digests) *grouper {
	return &grouper{cfg: cfg, severity: severity, digests: d, groups: make(map[string]*group), resolved: make(map[string]Incident)}
}

// restore takes up incidents that an earlier run left behind.
func (g *grouper) restore(incidents []Incident) {
	for _, in := range incidents {
		if in.Status == StatusResolved {
			g.resolved[in.Fingerprint] = in
			continue
		}
		x := g.newGroup(in.Fingerprint)
		x.incident, x.opened, x.gathered, x.since = in, true, in.Anomalies, in.Onset
		if n := len(in.Timeline); n > 0 {
			x.told = in.Timeline[n-1]
		}
		for _, id := range in.Traces {
			g.addTrace(x, id)
		}
	}
}

func fingerprint(t AnomalyType, s Subject) string {
	return string(t) + "|" + s.Kind + ":" + s.Value
}

// incidentID is a function of what the incident is and when it began, so that what is processed again after a crash becomes
// the same incident.
func incidentID(fingerprint string, onset time.Time) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s|%d", fingerprint, onset.UnixNano()))
	return "inc-" + hex.EncodeToString(sum[:6])
}

func (g *grouper) newGroup(fp string) *group {
	x := &group{traces: make(map[TraceID]struct{}), changes: make(map[string]Change)}
	g.groups[fp] = x
	return x
}

// news is the latest event of the incident, and whether it is still to be told: a change without an event, such as one more
// symptom, tells nothing.
func (x *group) news() (latest TimelineEntry, fresh bool) {
	if len(x.incident.Timeline) == 0 {
		return TimelineEntry{}, false
	}
	latest = x.incident.Timeline[len(x.incident.Timeline)-1]
	return latest, latest != x.told
}

// add takes an anomaly into its group and, when the group is an incident, stamps it with the incident's id.
func (g *grouper) add(a *Anomaly) *group {
	fp := fingerprint(a.Type, a.Subject)
	x, ok := g.groups[fp]
	if ok && !x.opened && a.At.Sub(x.incident.LastSeen) > g.cfg.GroupGap {
		g.remove(x)
		ok = false
	}
	if !ok {
		if len(g.groups) >= g.cfg.MaxActive {
			g.makeRoom(a.At)
		}
		x = g.newGroup(fp)
		x.incident = Incident{
			Fingerprint: fp, Type: a.Type, Subject: a.Subject, Status: StatusOpen, Services: []string{}, Onset: a.onset(), LastSeen: a.At,
			Alpha: a.Alpha,
		}
	}
	in := &x.incident
	for _, id := range a.Traces {
		g.addTrace(x, id)
	}
	if !a.TraceID.IsZero() {
		g.addTrace(x, a.TraceID)
	}
	x.begin(a)
	if a.At.After(in.LastSeen) {
		in.LastSeen = a.At
	}
	in.Anomalies++
	x.affects(a.Service)
	if a.Type == in.Type && (a.Score >= in.Score || in.Effect == Effect{}) {
		in.Score, in.Effect = a.Score, a.Effect
		if a.Excerpt != "" {
			x.example = &Example{TraceID: a.TraceID, SpanID: a.SpanID, Text: a.Excerpt}
			x.nearest, x.known = a.Nearest.example(), a.Known.example()
		}
	}
	x.note(a)
	if x.opened {
		a.IncidentID = in.ID
		g.refresh(x)
		return x
	}
	if len(x.pending) < maxPending {
		x.pending = append(x.pending, *a)
	}
	g.ripe(x)
	return x
}

// affects lists a service among those of the incident.
func (x *group) affects(service string) {
	in := &x.incident
	if service == "" || slices.Contains(in.Services, service) {
		return
	}
	in.Services = append(slices.Clone(in.Services), service) // readers of the incident have the old list
	slices.Sort(in.Services)
}

// begin moves the onset. Windows know better than single traces when something began: one slow trace some minutes earlier is chance.
func (x *group) begin(a *Anomaly) {
	at, in := a.onset(), &x.incident
	window := a.Window > 0
	switch {
	case window && !x.windowed && !x.opened:
		in.Onset, x.windowed = at, true
	case window == x.windowed && at.Before(in.Onset):
		in.Onset = at
	}
}

func (a *Anomaly) onset() time.Time { return a.At.Add(-a.Window) }

func (g *grouper) addTrace(x *group, id TraceID) {
	if _, have := x.traces[id]; have {
		return
	}
	if len(x.order) >= g.cfg.MaxTracesKept {
		delete(x.traces, x.order[0])
		x.order = x.order[1:]
	}
	x.traces[id] = struct{}{}
	x.order = append(x.order, id)
}

// note keeps the strongest change that the anomaly shows, a series and quantity.
func (x *group) note(a *Anomaly) {
	shares := a.Shares
	if len(shares) == 0 {
		shares = []Contribution{{Finding: Finding{Type: a.Type, Series: a.Series, Effect: a.Effect, TraceID: a.TraceID, SpanID: a.SpanID}, Score: a.Score}}
	}
	for _, c := range shares {
		if c.Score <= 1 {
			continue
		}
		key := string(c.Type) + "|" + c.Series.String()
		have, ok := x.changes[key]
		if !ok && len(x.changes) >= 4*maxChanges || ok && have.Effect.Ratio() >= c.Effect.Ratio() {
			continue
		}
		change := Change{What: c.quantity(), Series: c.Series.String(), Effect: c.Effect}
		if !c.TraceID.IsZero() {
			change.TraceID, change.SpanID = c.TraceID.String(), c.SpanID.String()
		}
		x.changes[key] = change
	}
}

func (x *group) listChanges() []Change {
	out := make([]Change, 0, len(x.changes))
	for _, c := range x.changes {
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Change) int {
		return cmp.Or(cmp.Compare(b.Effect.Ratio(), a.Effect.Ratio()), cmp.Compare(a.Series, b.Series), cmp.Compare(a.What, b.What))
	})
	return out[:min(len(out), maxChanges)]
}

// refresh brings the derived fields of an incident up to date.
func (g *grouper) refresh(x *group) {
	in := &x.incident
	in.Traces = slices.Clone(x.order[max(0, len(x.order)-maxShownTraces):])
	in.Users = len(g.actors(x, SubjectUser))
	in.Title = title(in)
	switch severity := g.severity.Of(in.Type, in.Score, in.Effect, Circumstances{
		Users: in.Users, Lasted: in.LastSeen.Sub(in.Onset), Raised: in.Raised, At: in.LastSeen,
	}); {
	case in.Severity == "":
		in.Severity = severity
	case severity.Rank() > in.Severity.Rank():
		in.Timeline = appendEvent(in.Timeline, TimelineEntry{
			At: in.LastSeen, Event: ChangeWorsened, Note: fmt.Sprintf("from %s to %s", in.Severity, severity),
		})
		in.Severity = severity
	}
}

// actors counts the subjects of one kind among the group's traces that are remembered.
func (g *grouper) actors(x *group, kind string) map[string]int {
	out := make(map[string]int)
	for id := range x.traces {
		d, ok := g.digests.byTrace[id]
		if !ok {
			continue
		}
		for _, v := range d.values {
			if s := v.Value(); s.Kind == kind {
				out[s.Value]++
			}
		}
	}
	return out
}

// advance moves the grouper to the watermark: groups with enough support become incidents or join the one they are a symptom
// of, calm incidents are resolved, stale candidates forgotten. It returns the groups whose incident changed.
func (g *grouper) advance(watermark, now time.Time) []*group {
	changed := g.pushed
	g.pushed = nil
	for _, x := range g.sorted() {
		in := &x.incident
		if g.groups[in.Fingerprint] != x {
			continue // taken in by one handled before it
		}
		switch {
		case x.opened:
			if watermark.Sub(in.LastSeen) >= g.cfg.ResolveAfter {
				g.resolve(x, watermark, "", "calm for "+g.cfg.ResolveAfter.String())
				changed = append(changed, x)
			}
		case !g.ripe(x):
			if watermark.Sub(in.LastSeen) > g.cfg.GroupGap {
				g.remove(x)
			}
		default:
			if wait := g.settle(in.Type); wait > 0 && watermark.Sub(x.ready) < wait {
				continue
			}
			if into := g.cause(x); into != nil {
				if into.incident.Status == StatusResolved {
					g.remove(x) // the tail of what is over
					continue
				}
				g.absorb(into, x)
				if into.opened {
					changed = append(changed, into)
				}
				continue
			}
			g.open(x, now)
			changed = append(changed, x)
		}
	}
	g.forgetResolved(watermark)
	return changed
}

// sorted lists the active groups, causes before symptoms, so that the outcome does not depend on map order.
func (g *grouper) sorted() []*group {
	return slices.SortedFunc(maps.Values(g.groups), func(a, b *group) int {
		return cmp.Or(cmp.Compare(rank(a.incident.Type), rank(b.incident.Type)), strings.Compare(a.incident.Fingerprint, b.incident.Fingerprint))
	})
}

// settle is how long a group waits for its cause to show: what is a cause by itself does not wait, symptoms do, and what is merely
// new waits longest, since attacks are new as well.
func (g *grouper) settle(t AnomalyType) time.Duration {
	switch {
	case rank(t) < rank(TokenAbuse):
		return 0
	case isSemantic(t):
		return 2 * g.cfg.Settle
	}
	return g.cfg.Settle
}

// supported reports whether the group holds enough abnormal traces, of enough users where a topic is new, for long enough where it
// is that, only traffic, or judged by how alike texts are.
func (g *grouper) supported(x *group) bool {
	in := &x.incident
	if in.Type == SecurityPattern {
		return true // its detector has seen the pattern in many events, which need no traces
	}
	if in.Type == Traffic && in.Effect.Current < in.Effect.Baseline {
		return in.Anomalies >= lasting // what is missing leaves no traces
	}
	if len(x.traces) < g.cfg.MinTraces {
		return false
	}
	switch in.Type {
	case SemanticNovelty:
		users := g.actors(x, SubjectUser)
		return in.Anomalies >= lasting && (len(users) == 0 || len(users) >= g.cfg.MinUsers)
	case Traffic, UngroundedResponse, RetrievalIrrelevant:
		return in.Anomalies >= lasting
	}
	return true
}

// ripe reports whether the group has had enough support, and notes in event time since when: what is read late and all at once need
// not wait by the clock as well.
func (g *grouper) ripe(x *group) bool {
	if x.ready.IsZero() && g.supported(x) {
		x.ready = x.incident.LastSeen
	}
	return !x.ready.IsZero()
}

// lasting is how many anomalies, mostly windows, a new topic, a change of traffic or what is judged by likeness of texts needs: a short
// burst of those is none.
const lasting = 3

// cause finds the group that x is a symptom of, if any: active, or resolved a moment ago.
func (g *grouper) cause(x *group) *group {
	for _, y := range append(g.sorted(), g.recent...) {
		if y == x || !y.opened && y.ready.IsZero() {
			continue
		}
		// Of two incidents of one type the later joins the earlier.
		order := rank(y.incident.Type) - rank(x.incident.Type)
		if (order < 0 || order == 0 && y.opened) && g.explains(y, x) {
			return y
		}
	}
	return nil
}

// explains reports whether group y accounts for group x: x is about a version of the agent that y is about, most of x's abnormal
// traces are abnormal in y too, or most of them come from the user, tenant or key that y is about.
func (g *grouper) explains(y, x *group) bool {
	if y.incident.LastSeen.Before(x.incident.Onset.Add(-g.cfg.GroupGap)) || x.incident.LastSeen.Before(y.incident.Onset.Add(-g.cfg.GroupGap)) {
		return false
	}
	if isSemantic(x.incident.Type) && rank(y.incident.Type) > rank(TokenAbuse) {
		return false // that an answer was slow does not make a topic new
	}
	if x.incident.Subject.Kind == SubjectAgentVersion && y.incident.Subject.Kind == SubjectAgent &&
		strings.HasPrefix(x.incident.Subject.Value, y.incident.Subject.Value+"@") {
		return true
	}
	shared := 0
	for id := range x.traces {
		_, both := y.traces[id]
		if d, ok := g.digests.byTrace[id]; ok && !both && y.incident.Type != x.incident.Type {
			_, both = d.abnormal[y.incident.Type]
		}
		if both {
			shared++
		}
	}
	if 2*shared >= len(x.traces) && (len(x.traces) > 0 || x.incident.Type == Traffic) {
		return true
	}
	switch y.incident.Subject.Kind {
	case SubjectUser, SubjectAPIKey, SubjectTenant:
	default:
		return false
	}
	actor := unique.Make(y.incident.Subject)
	var of, by int
	for id := range x.traces {
		if d, ok := g.digests.byTrace[id]; ok {
			of++
			if d.has(actor) {
				by++
			}
		}
	}
	return of > 0 && 10*by >= 6*of
}

// open makes the group an incident. Open incidents that turn out to be its symptoms are taken over.
func (g *grouper) open(x *group, now time.Time) {
	in := &x.incident
	in.ID, in.DetectedAt, in.Raised = incidentID(in.Fingerprint, in.Onset), now, 1
	x.since = in.Onset
	event := TimelineEntry{At: in.LastSeen, Event: ChangeRaised}
	if earlier, again := g.resolved[in.Fingerprint]; again {
		delete(g.resolved, in.Fingerprint)
		in.ID, in.Raised, in.Changes, in.Timeline, in.Onset = earlier.ID, earlier.Raised+1, earlier.Changes, earlier.Timeline, earlier.Onset
		event.Event = ChangeRaisedAgain
	}
	for _, y := range g.sorted() {
		if y == x || !y.opened || rank(y.incident.Type) <= rank(in.Type) || !g.explains(x, y) {
			continue
		}
		if event.Event == ChangeRaised {
			in.ID, in.DetectedAt, in.Timeline = y.incident.ID, y.incident.DetectedAt, y.incident.Timeline
			in.Raised, in.Changes = y.incident.Raised, y.incident.Changes
			event = TimelineEntry{At: in.LastSeen, Event: ChangeReclassified, Note: fmt.Sprintf("from %s to %s", y.incident.Type, in.Type)}
			in.Status = y.incident.Status
		} else {
			// It was told as an incident of its own: that ends.
			g.resolve(y, in.LastSeen, "", "part of "+in.ID)
			g.pushed = append(g.pushed, y)
		}
		g.absorb(x, y)
	}
	x.opened = true
	in.Timeline = appendEvent(in.Timeline, event)
	for i := range x.pending {
		x.pending[i].IncidentID = in.ID
	}
	g.refresh(x)
}

func appendEvent(list []TimelineEntry, e TimelineEntry) []TimelineEntry {
	return append(slices.Clone(list[max(0, len(list)-maxTimeline+1):]), e)
}

// absorb merges the symptom x into y.
func (g *grouper) absorb(y, x *group) {
	in := &y.incident
	for _, t := range append([]AnomalyType{x.incident.Type}, x.incident.Also...) {
		if t != in.Type && !slices.Contains(in.Also, t) {
			in.Also = append(in.Also, t)
		}
	}
	for key, c := range x.changes {
		if _, have := y.changes[key]; !have {
			y.changes[key] = c
		}
	}
	for _, a := range x.pending {
		if len(y.pending) < maxPending {
			y.pending = append(y.pending, a)
		}
	}
	if x.incident.LastSeen.After(in.LastSeen) {
		in.LastSeen = x.incident.LastSeen
	}
	in.Anomalies += x.incident.Anomalies
	for _, service := range x.incident.Services {
		y.affects(service)
	}
	g.remove(x)
	if y.opened {
		for i := range y.pending {
			y.pending[i].IncidentID = in.ID
		}
		g.refresh(y)
	}
}

// resolve ends an active incident and remembers it for re-raise.
func (g *grouper) resolve(x *group, at time.Time, by, note string) {
	x.incident.resolve(at, by, note)
	g.retire(x)
}

func (in *Incident) resolve(at time.Time, by, note string) {
	in.Status, in.ResolvedAt = StatusResolved, &at
	in.Timeline = appendEvent(in.Timeline, TimelineEntry{At: at, Event: ChangeResolved, By: by, Note: note})
}

// retire takes a resolved incident out of the active ones. What is remembered of those is bounded like the active ones.
func (g *grouper) retire(x *group) {
	g.remove(x)
	if len(g.resolved) >= g.cfg.MaxActive {
		oldest := slices.MinFunc(slices.Collect(maps.Values(g.resolved)), func(a, b Incident) int { return a.ResolvedAt.Compare(*b.ResolvedAt) })
		delete(g.resolved, oldest.Fingerprint)
	}
	g.resolved[x.incident.Fingerprint] = x.incident
	g.recent = append(g.recent[max(0, len(g.recent)-g.cfg.MaxActive+1):], x)
}

// keep brings what is remembered of a resolved incident up to date.
func (g *grouper) keep(in *Incident) {
	if past, ok := g.resolved[in.Fingerprint]; ok && past.ID == in.ID {
		g.resolved[in.Fingerprint] = *in
	}
}

func (g *grouper) remove(x *group) { delete(g.groups, x.incident.Fingerprint) }

func (g *grouper) forgetResolved(watermark time.Time) {
	g.recent = slices.DeleteFunc(g.recent, func(x *group) bool { return watermark.Sub(x.incident.LastSeen) > g.cfg.ResolveAfter+g.cfg.GroupGap })
	for fp, in := range g.resolved {
		if watermark.Sub(*in.ResolvedAt) > g.cfg.ReraiseWithin {
			delete(g.resolved, fp)
		}
	}
}

// makeRoom lets a new group in where there are too many: the candidate that was seen longest ago is forgotten or, where all are
// incidents, the one seen longest ago is resolved.
func (g *grouper) makeRoom(at time.Time) {
	var oldest *group
	for _, x := range g.groups {
		if oldest == nil || oldest.opened && !x.opened ||
			oldest.opened == x.opened && x.incident.LastSeen.Before(oldest.incident.LastSeen) {
			oldest = x
		}
	}
	if !oldest.opened {
		g.remove(oldest)
		return
	}
	g.resolve(oldest, at, "", fmt.Sprintf("pushed out: there are more than %d active incidents", g.cfg.MaxActive))
	g.pushed = append(g.pushed, oldest)
}

// find returns the active group of an incident.
func (g *grouper) find(id string) *group {
	for _, x := range g.groups {
		if x.opened && x.incident.ID == id {
			return x
		}
	}
	return nil
}

// title says in one line what is wrong with whom.
func title(in *Incident) string {
	where := strings.Join(in.Services[:min(3, len(in.Services))], ", ")
	if more := len(in.Services) - 3; more > 0 {
		where += fmt.Sprintf(" and %d more", more)
	}
	who := strings.ReplaceAll(in.Subject.Kind, "_", " ") + " " + in.Subject.Value
	if in.Subject.Kind == SubjectAPIKey {
		who = "API key " + in.Subject.Value
	}
	times := ""
	if r := in.Effect.Ratio(); r >= 1.05 {
		times = fmt.Sprintf(" %.1f times", r)
	}
	switch in.Type {
	case LatencySpike:
		return fmt.Sprintf("Latency of %s rose%s", where, times)
	case ErrorRate:
		return fmt.Sprintf("Errors of %s in %s", who, where)
	case TokenAbuse:
		return fmt.Sprintf("Token use of %s in %s rose%s", who, where, times)
	case CostOverrun:
		return fmt.Sprintf("Cost of %s rose%s", where, times)
	case Traffic:
		if in.Effect.Current < in.Effect.Baseline {
			return fmt.Sprintf("Traffic of %s fell away", where)
		}
		return fmt.Sprintf("Traffic of %s rose%s", where, times)
	case SecurityPattern:
		if where == "" {
			return fmt.Sprintf("Pattern of attacks by %s", who)
		}
		return fmt.Sprintf("Pattern of attacks by %s against %s", who, where)
	case Jailbreak:
		return fmt.Sprintf("Jailbreak attempts by %s against %s", who, where)
	case PromptInjection:
		return fmt.Sprintf("Prompt injection in what %s reads", where)
	case AgentTrajectory:
		return fmt.Sprintf("Agent %s of %s runs in loops", in.Subject.Value, where)
	case SemanticNovelty:
		if in.Subject.Kind != SubjectService {
			return fmt.Sprintf("What %s reads holds something new", where)
		}
		return fmt.Sprintf("Users ask %s about something new", where)
	case TopicDrift:
		_, topic, _ := strings.Cut(in.Subject.Value, ": ")
		return fmt.Sprintf("Users ask %s more about %s", where, topic)
	case UngroundedResponse:
		return fmt.Sprintf("Answers of %s say what they were not given", where)
	case RetrievalIrrelevant:
		return fmt.Sprintf("Searches of %s find nothing to the point", where)
	case PIIExposure:
		return fmt.Sprintf("Answers of %s hold personal data or keys", where)
	case ModelRegression:
		if in.Subject.Kind == SubjectService {
			return fmt.Sprintf("Answers of %s got worse", where)
		}
		return fmt.Sprintf("%s is worse than its predecessor in %s", who, where)
	}
	return fmt.Sprintf("%s in %s", strings.ReplaceAll(string(in.Type), "_", " "), where)
}
