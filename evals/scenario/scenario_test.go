package scenario

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// digest is a fingerprint of every byte that a scenario emits.
func digest(t *testing.T, cfg Config) [sha256.Size]byte {
	s, err := New(cfg)
	require.NoError(t, err)
	h := sha256.New()
	for {
		step, ok := s.Next()
		if !ok {
			break
		}
		spans, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(step.Traces)
		require.NoError(t, err)
		logs, err := (&plog.ProtoMarshaler{}).MarshalLogs(step.Logs)
		require.NoError(t, err)
		marker, err := json.Marshal(step.Marker)
		require.NoError(t, err)
		fmt.Fprintf(h, "%s %d %d %s", step.At, len(spans), len(logs), marker)
		h.Write(spans)
		h.Write(logs)
	}
	truths, err := json.Marshal(s.Truth())
	require.NoError(t, err)
	h.Write(truths)
	return [sha256.Size]byte(h.Sum(nil))
}

// A figure that an eval reports must be reproducible by its seed alone.
func TestSameSeedGivesSameBytes(t *testing.T) {
	first := digest(t, seeded(7))
	again := digest(t, seeded(7))
	require.Equal(t, first, again)
	require.NotEqual(t, first, digest(t, seeded(8)))
}

// Incidents have to be there for every seed, not only for those that were looked at.
func TestEverySeedHoldsWhatItPromises(t *testing.T) {
	if testing.Short() {
		t.Skip("plays many days of traffic")
	}
	for seed := uint64(1); seed <= seeds; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			rec := play(t, seeded(seed))
			checkVolume(t, rec)
			checkOrder(t, rec)
			checkSpans(t, rec)
			checkVariety(t, rec)
			checkTopics(t, rec)
			checkDecoys(t, rec)
			checkTruths(t, rec)
		})
	}
}

func checkVolume(t *testing.T, rec *record) {
	n := traces(rec.spans)
	require.True(t, n > 8000 && n < 13000, "%d traces", n)
	require.True(t, len(rec.spans) > 42000 && len(rec.spans) < 85000, "%d spans", len(rec.spans))
	services := distinct(rec.spans, func(s span) string { return s.service })
	require.True(t, services >= 4 && services <= 6, "%d services", services)
	require.GreaterOrEqual(t, distinct(rec.spans, func(s span) string { return s.provider }), 3) // with "" of tools
	chats := rec.chats(func(s span) bool { return !rec.inOutage(s) })
	failed := 0
	for _, s := range chats {
		if s.failed {
			failed++
		}
	}
	share := float64(failed) / float64(len(chats))
	require.True(t, share > 0.003 && share < 0.02, "%.4f of calls fail in calm times", share)
}

func (rec *record) inOutage(s span) bool {
	o := rec.plan.outage
	return o.provider != nil && s.provider == o.provider.name && o.holds(s.start)
}

func checkOrder(t *testing.T, rec *record) {
	require.True(t, slices.IsSortedFunc(rec.steps, time.Time.Compare), "steps are in event-time order")
	last := make([]time.Time, len(rec.steps))
	for _, s := range rec.spans {
		if s.end.After(last[s.step]) {
			last[s.step] = s.end
		}
	}
	for i, end := range last {
		if !end.IsZero() {
			require.True(t, end.Equal(rec.steps[i]), "an export leaves when its last span has ended")
		}
	}
}

func checkSpans(t *testing.T, rec *record) {
	type key struct {
		trace pcommon.TraceID
		id    pcommon.SpanID
	}
	all := map[key]span{}
	roots := map[pcommon.TraceID]int{}
	parts := map[pcommon.TraceID]map[int]bool{}
	for _, s := range rec.spans {
		all[key{s.trace, s.id}] = s
		if s.parent.IsEmpty() {
			roots[s.trace]++
			require.Contains(t, []string{"invoke_agent", "invoke_workflow"}, s.operation)
		}
		if parts[s.trace] == nil {
			parts[s.trace] = map[int]bool{}
		}
		parts[s.trace][s.step] = true
	}
	require.Len(t, all, len(rec.spans), "span ids are unique")
	for _, s := range rec.spans {
		fault := s.fault()
		if p, ok := all[key{s.trace, s.parent}]; !s.parent.IsEmpty() && (!ok || s.start.Before(p.start) || s.end.After(p.end)) {
			fault = "is not within its parent"
		}
		if roots[s.trace] != 1 {
			fault = "is in a trace without one root"
		}
		if fault != "" {
			require.Fail(t, s.String()+" "+fault)
		}
	}
	split := 0
	for _, steps := range parts {
		if len(steps) > 1 {
			split++
		}
	}
	share := float64(split) / float64(len(parts))
	require.True(t, share > 0.1 && share < 0.25, "%.3f of traces leave in parts", share)
}

// fault says what a span breaks of the conventions, or nothing.
func (s span) fault() string {
	chat := s.operation == "chat"
	for _, rule := range []struct {
		broken bool
		fault  string
	}{
		{s.took() <= 0, "takes no time"},
		{s.failed != (s.failure != ""), "has a status and an error.type that disagree"},
		{s.service == "" || s.version == "" || s.agent == "" || s.conversation == "", "does not say where it ran"},
		{s.user == "" || s.key == "", "does not say for whom it ran"},
		{s.operation == "invoke_agent" && s.agentVersion == "", "has no agent version"},
		{s.operation == "invoke_agent" && s.in+s.out > 0, "counts the usage of its calls again"},
		{chat && s.prompt == "", "has no prompt"},
		{chat && s.failed != (s.response == ""), "failed and was answered, or neither"},
		{chat && s.failed == (s.in > 0 && s.out > 0 && s.cost > 0), "has usage although it failed, or none although it did not"},
		{s.operation == "execute_tool" && !json.Valid([]byte(s.arguments)), "has arguments that are no JSON"},
		{s.operation == "retrieval" && !json.Valid([]byte(s.documents)), "has documents that are no JSON"},
	} {
		if rule.broken {
			return rule.fault
		}
	}
	return ""
}

// Texts that repeat would make every semantic detector look good.
func checkVariety(t *testing.T, rec *record) {
	var prompts []string
	seen := map[pcommon.TraceID]bool{}
	for _, s := range rec.spans {
		if s.operation == "chat" && !seen[s.trace] {
			seen[s.trace] = true
			prompts = append(prompts, s.prompt)
		}
	}
	for at := 0; at+1000 <= len(prompts); at += 1000 {
		words := map[string]bool{}
		for _, p := range prompts[at : at+1000] {
			words[p] = true
		}
		require.GreaterOrEqual(t, len(words), 950, "distinct among prompts %d to %d", at, at+1000)
	}
}

func checkTopics(t *testing.T, rec *record) {
	for _, svc := range rec.world.services {
		early := map[string]bool{}
		for _, s := range rec.filter(func(s span) bool {
			return s.service == svc.name && s.operation == "retrieval" && s.start.Before(rec.cfg.Start.Add(6*time.Hour))
		}) {
			topic, _, _ := strings.Cut(s.documents, "-1\"")
			early[topic[strings.LastIndex(topic, "/")+1:]] = true
		}
		for _, topic := range svc.topics {
			require.Contains(t, early, topic.name, "in %s", svc.name)
		}
	}
}

func checkDecoys(t *testing.T, rec *record) {
	for _, d := range rec.plan.deployments {
		checkDeployment(t, rec, d)
	}
	for _, k := range rec.plan.peaks {
		checkPeak(t, rec, k)
	}
	for _, q := range rec.plan.slow {
		checkSlowRequest(t, rec, q)
	}
	night, evening := time.Date(2025, 10, 7, 2, 0, 0, 0, time.UTC), time.Date(2025, 10, 7, 13, 0, 0, 0, time.UTC)
	asleep := len(rec.roots(func(s span) bool { return interval{night, night.Add(2 * time.Hour)}.holds(s.start) }))
	awake := len(rec.roots(func(s span) bool { return interval{evening, evening.Add(2 * time.Hour)}.holds(s.start) }))
	require.Less(t, float64(asleep), 0.5*float64(awake), "nights are calm")
}

func (rec *record) roots(keep func(span) bool) []span {
	return rec.filter(func(s span) bool { return s.parent.IsEmpty() && keep(s) })
}

func checkDeployment(t *testing.T, rec *record, d deployment) {
	require.True(t, slices.ContainsFunc(rec.markers, func(m Marker) bool {
		return m.Kind == "deployment" && m.Service == d.service.name && m.Version == d.version && m.At.Equal(d.at)
	}))
	later := rec.cfg.end()
	for _, next := range rec.plan.deployments {
		if next.service == d.service && next.at.After(d.at) {
			later = next.at
			break
		}
	}
	for _, s := range rec.roots(func(s span) bool { return s.service == d.service.name }) {
		require.Equal(t, interval{d.at, later}.holds(s.start), s.version == d.version)
	}
}

func checkPeak(t *testing.T, rec *record, k peak) {
	count := func(in interval) float64 {
		return float64(len(rec.roots(func(s span) bool { return s.service == k.service.name && in.holds(s.start) })))
	}
	// Conversations take a while to fill up and to end.
	usual := (count(interval{k.from.Add(-k.length()), k.from}) + count(interval{k.to.Add(15 * time.Minute), k.to.Add(15*time.Minute + k.length())})) / 2
	ratio := count(k.interval) / usual
	require.True(t, ratio > 1.6 && ratio < 6, "peak of %.2f", ratio)

}

func checkSlowRequest(t *testing.T, rec *record, q slowRequest) {
	slow := rec.chats(func(s span) bool {
		return s.service == q.service.name && interval{q.at, q.at.Add(30 * time.Minute)}.holds(s.start)
	})
	longest := slices.MaxFunc(slow, func(a, b span) int { return int(a.took() - b.took()) })
	typical := median(rec.chats(func(s span) bool { return s.service == longest.service && s.model == longest.model && !s.failed }), seconds)
	require.Greater(t, seconds(longest), 10*typical)
}

func checkTruths(t *testing.T, rec *record) {
	truths := rec.Truth()
	require.Len(t, truths, 6)
	require.True(t, slices.IsSortedFunc(truths, func(a, b Truth) int { return a.Onset.Compare(b.Onset) }))
	for i, truth := range truths {
		require.True(t, truth.Onset.After(rec.cfg.Start.Add(8*time.Hour)))
		require.False(t, truth.End.After(rec.cfg.end().Add(-time.Hour)))
		length := truth.End.Sub(truth.Onset)
		require.True(t, length >= 44*time.Minute && length <= 2*time.Hour, "%s lasts %s", truth.Type, length)
		if i > 0 && !rec.cfg.Overlap {
			require.True(t, truth.Onset.After(truths[i-1].End), "incidents do not overlap")
		}
		in := interval{truth.Onset, truth.End}
		before := interval{rec.cfg.Start, truth.Onset}
		switch Kind(truth.Type) {
		case LatencySpike:
			checkLatency(t, rec, truth, in, before)
		case ErrorRate:
			checkErrors(t, rec, truth, in, before)
		case TokenAbuse:
			checkAbuse(t, rec, truth, in, before)
		case Jailbreak:
			checkJailbreak(t, rec, truth, in)
		case AgentTrajectory:
			checkTrajectory(t, rec, truth, in)
		case SemanticNovelty:
			checkNovelty(t, rec, truth, in)
		}
	}
}

func checkLatency(t *testing.T, rec *record, truth Truth, in, before interval) {
	version := truth.Cause.Subject
	slow := rec.chats(func(s span) bool { return s.response == version })
	require.GreaterOrEqual(t, traces(slow), 40)
	for _, s := range slow {
		require.Equal(t, truth.Subject, s.service)
		require.True(t, in.holds(s.start))
	}
	usual := rec.chats(func(s span) bool {
		return s.service == truth.Subject && s.model == slow[0].model && before.holds(s.start) && !s.failed
	})
	ratio := median(slow, seconds) / median(usual, seconds)
	require.True(t, ratio > 2 && ratio < 6.5, "calls take %.2f times as long", ratio)
	requireMarkers(t, rec, truth, "model_version", version)
}

func requireMarkers(t *testing.T, rec *record, truth Truth, kind, version string) {
	require.True(t, slices.ContainsFunc(rec.markers, func(m Marker) bool {
		return m.Kind == kind && m.Version == version && m.At.Equal(truth.Onset) && m.Service == truth.Services[0]
	}))
	require.True(t, slices.ContainsFunc(rec.markers, func(m Marker) bool {
		return m.Kind == "rollback" && m.Previous == version && m.At.Equal(truth.End)
	}))
}

func checkErrors(t *testing.T, rec *record, truth Truth, in, before interval) {
	share := func(in interval) (float64, []span) {
		calls := rec.chats(func(s span) bool { return s.provider == truth.Subject && in.holds(s.start) })
		failed := slices.DeleteFunc(slices.Clone(calls), func(s span) bool { return !s.failed })
		return float64(len(failed)) / float64(len(calls)), failed
	}
	during, failed := share(in)
	require.True(t, during > 0.28 && during < 0.77, "%.2f of calls fail", during)
	require.GreaterOrEqual(t, traces(failed), 40)
	require.GreaterOrEqual(t, distinct(failed, func(s span) string { return s.service }), 2)
	require.GreaterOrEqual(t, distinct(failed, func(s span) string { return s.model }), 2, "it is not one model")
	calm, _ := share(before)
	require.Less(t, calm, 0.04)
	ended := rec.filter(func(s span) bool { return s.parent.IsEmpty() && s.failed && in.holds(s.start) })
	require.NotEmpty(t, ended, "some runs fail as a whole")
}

func checkAbuse(t *testing.T, rec *record, truth Truth, in, before interval) {
	of := func(in interval) []span {
		return rec.chats(func(s span) bool {
			return s.user == truth.Subject && s.service == truth.Services[0] && in.holds(s.start) && !s.failed
		})
	}
	total := func(s span) float64 { return float64(s.in + s.out) }
	now, past := of(in), of(before)
	require.GreaterOrEqual(t, traces(now), 40)
	require.NotEmpty(t, past, "the user is no stranger")
	require.Greater(t, median(now, total), 10*median(past, total))
	perHour := func(spans []span, in interval) float64 { return float64(traces(spans)) / in.length().Hours() }
	require.Greater(t, perHour(now, in), 5*perHour(past, before))
}

func checkJailbreak(t *testing.T, rec *record, truth Truth, in interval) {
	refusals := map[string]bool{}
	for _, r := range rec.bank.phrases["refusal"] {
		refusals[r[0]] = true
	}
	refused := rec.chats(func(s span) bool { return refusals[s.reply] })
	require.True(t, len(refused) >= 36 && len(refused) <= 80, "%d refusals", len(refused))
	for _, s := range refused {
		require.Equal(t, truth.Subject, s.key)
		require.True(t, in.holds(s.start.Add(-10*time.Minute)) || in.holds(s.start))
	}
	require.GreaterOrEqual(t, distinct(refused, func(s span) string { return s.user }), 3, "it is not one user")
	require.GreaterOrEqual(t, distinct(refused, func(s span) string { return s.prompt }), len(refused)*8/10)
	normal := rec.chats(func(s span) bool { return s.key == truth.Subject && !refusals[s.reply] })
	require.NotEmpty(t, normal, "the key has normal traffic too")
	require.LessOrEqual(t, traces(refused)+15, 80+15)
}

func checkTrajectory(t *testing.T, rec *record, truth Truth, in interval) {
	repeats := map[pcommon.TraceID]map[string]int{}
	for _, s := range rec.spans {
		if s.operation == "execute_tool" {
			if repeats[s.trace] == nil {
				repeats[s.trace] = map[string]int{}
			}
			repeats[s.trace][s.tool]++
		}
	}
	looping, newRuns, oldRuns := 0, 0, 0
	for _, s := range rec.spans {
		if s.operation != "invoke_agent" {
			continue
		}
		most := 0
		for _, n := range repeats[s.trace] {
			most = max(most, n)
		}
		bad := s.agent+"@"+s.agentVersion == truth.Cause.Subject && s.service == truth.Services[0]
		switch {
		case bad:
			newRuns++
			require.True(t, in.holds(s.start))
			if most >= 8 {
				looping++
			}
		case s.agent == truth.Subject && in.holds(s.start):
			oldRuns++
		}
		if !bad {
			require.LessOrEqual(t, most, 3, "no other run loops")
		}
	}
	require.GreaterOrEqual(t, looping, 40)
	share := float64(looping) / float64(newRuns)
	require.True(t, share > 0.4 && share < 0.8, "%.2f of runs loop", share)
	require.Greater(t, newRuns, oldRuns)
	requireMarkers(t, rec, truth, "deployment", strings.TrimPrefix(truth.Cause.Subject, truth.Subject+"@"))
}

func checkNovelty(t *testing.T, rec *record, truth Truth, in interval) {
	var known []string // the longest fixed part of each answer
	for _, a := range rec.plan.novelty.topic.answers {
		fixed := ""
		for i := 0; i < len(a); i += 2 {
			if len(a[i]) > len(fixed) {
				fixed = a[i]
			}
		}
		known = append(known, fixed[1:])
	}
	alien := rec.chats(func(s span) bool {
		return slices.ContainsFunc(known, func(k string) bool { return strings.Contains(s.reply, k) })
	})
	require.GreaterOrEqual(t, traces(alien), 40)
	require.GreaterOrEqual(t, distinct(alien, func(s span) string { return s.user }), 12)
	for _, s := range alien {
		require.Equal(t, truth.Subject, s.service)
		require.False(t, s.start.Before(in.from))
	}
	all := rec.chats(func(s span) bool { return s.service == truth.Subject && in.holds(s.start) })
	share := float64(traces(alien)) / float64(traces(all))
	require.True(t, share > 0.12 && share < 0.42, "%.2f of traces are about it", share)
}

// A control is the yardstick for false alarms: the same traffic, decoys included, and nothing wrong with it.
func TestControlKeepsTrafficAndDecoys(t *testing.T) {
	cfg := seeded(3)
	sick := play(t, cfg)
	cfg.Control = true
	control := play(t, cfg)

	require.Empty(t, control.Truth())
	require.Equal(t, sick.plan.deployments[0].at, control.plan.deployments[0].at)
	checkDecoys(t, control)
	require.Len(t, control.markers, 1, "only the harmless deployment")

	in := map[pcommon.TraceID]bool{}
	for _, s := range sick.spans {
		in[s.trace] = true
	}
	same := 0
	seen := map[pcommon.TraceID]bool{}
	for _, s := range control.spans {
		if !seen[s.trace] && in[s.trace] {
			same++
		}
		seen[s.trace] = true
	}
	require.Greater(t, float64(same), 0.95*float64(len(seen)))
	for _, s := range control.spans {
		require.False(t, s.operation == "chat" && s.in+s.out > 20000)
	}
}

// Incidents that share time are harder to tell apart, but each is still whole.
func TestOverlap(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		cfg := seeded(seed)
		cfg.Overlap = true
		s, err := New(cfg)
		require.NoError(t, err)
		truths := s.Truth()
		require.Len(t, truths, 6)
		require.True(t, slices.IsSortedFunc(truths, func(a, b Truth) int { return a.Onset.Compare(b.Onset) }))
		for i := 1; i < len(truths); i++ {
			first, second := truths[i-1], truths[i]
			if i%2 == 1 {
				require.False(t, second.Onset.After(first.Onset.Add(first.End.Sub(first.Onset)/2)), "it begins before the middle of the first")
			} else {
				require.True(t, second.Onset.After(first.End), "pairs are apart")
			}
		}
	}
	cfg := seeded(1)
	cfg.Overlap = true
	checkTruths(t, play(t, cfg))
}

// Weak incidents are about the same subjects with the same causes, and less of them is seen.
func TestStrength(t *testing.T) {
	cfg := seeded(6)
	full := play(t, cfg)
	cfg.Strength = 0.4
	weak := play(t, cfg)
	require.Len(t, weak.Truth(), 6)
	require.Equal(t, full.plan.slowModel.version, weak.plan.slowModel.version)
	require.InDelta(t, 1+0.4*(full.plan.slowModel.factor-1), weak.plan.slowModel.factor, 1e-9)
	require.InDelta(t, 0.4*full.plan.outage.share, weak.plan.outage.share, 1e-9)
	require.Less(t, weak.plan.flood.factor, full.plan.flood.factor)
	require.Less(t, weak.plan.campaign.attempts, full.plan.campaign.attempts)
	require.Less(t, weak.plan.rollout.loops, full.plan.rollout.loops)
	require.Less(t, weak.plan.novelty.share, full.plan.novelty.share)
	for i, truth := range weak.Truth() {
		require.Equal(t, full.Truth()[i].Subject, truth.Subject)
	}
}

func TestDecoys(t *testing.T) {
	cfg := seeded(4)
	cfg.Decoys = 3
	rec := play(t, cfg)
	checkDecoys(t, rec)
	require.Len(t, rec.plan.deployments, 3)
	require.Len(t, rec.plan.peaks, 3)
	require.Len(t, rec.plan.slow, 3)
	for i, d := range rec.plan.deployments {
		require.False(t, rec.plan.touches(d.service, interval{d.at.Add(-time.Hour), d.at.Add(time.Hour)}), "deployment %d", i)
	}

	cfg.Decoys, cfg.Control = 0, true
	rec = play(t, cfg)
	require.Empty(t, rec.markers)
	require.Empty(t, rec.plan.peaks)
}

func TestSelectedIncidents(t *testing.T) {
	cfg := seeded(5)
	cfg.Warmup, cfg.Duration = 2*time.Hour, 6*time.Hour
	cfg.Incidents = []Kind{LatencySpike}
	rec := play(t, cfg)
	require.Len(t, rec.Truth(), 1)
	require.Equal(t, string(LatencySpike), rec.Truth()[0].Type)
	require.True(t, rec.Truth()[0].Onset.After(cfg.Start.Add(cfg.Warmup)))

	cfg.Incidents = []Kind{}
	require.Empty(t, play(t, cfg).Truth())
}

// Some instrumentations send content beside the spans; what reads a scenario can be tested with both.
func TestContentInLogs(t *testing.T) {
	cfg := seeded(2)
	cfg.Duration, cfg.Warmup, cfg.Control = 12*time.Hour, time.Hour, true
	cfg.ContentInLogs = true
	s, err := New(cfg)
	require.NoError(t, err)
	quiet := s.world.services[len(s.world.services)-1].name
	spans, records := map[pcommon.SpanID]bool{}, map[pcommon.SpanID]bool{}
	for step, ok := s.Next(); ok; step, ok = s.Next() {
		for _, rs := range step.Traces.ResourceSpans().All() {
			for _, sp := range rs.ScopeSpans().At(0).Spans().All() {
				if text(sp.Attributes(), "gen_ai.operation.name") != "chat" {
					continue
				}
				here := text(rs.Resource().Attributes(), "service.name") == quiet
				require.Equal(t, here, text(sp.Attributes(), "gen_ai.input.messages") == "")
				if here {
					spans[sp.SpanID()] = true
				}
			}
		}
		for _, rl := range step.Logs.ResourceLogs().All() {
			require.Equal(t, quiet, text(rl.Resource().Attributes(), "service.name"))
			for _, rec := range rl.ScopeLogs().At(0).LogRecords().All() {
				require.Equal(t, "gen_ai.client.inference.operation.details", rec.EventName())
				require.NotEmpty(t, lastText(t, text(rec.Attributes(), "gen_ai.input.messages"), "user"))
				records[rec.SpanID()] = true
			}
		}
	}
	require.NotEmpty(t, spans)
	require.Equal(t, spans, records)
}

func TestConfigValidate(t *testing.T) {
	require.NoError(t, DefaultConfig().Validate())
	for _, c := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"no start", func(c *Config) { c.Start = time.Time{} }, "start is not set"},
		{"too little traffic", func(c *Config) { c.RequestsPerHour = 10 }, "requests_per_hour 10"},
		{"no strength", func(c *Config) { c.Strength = 0 }, "strength 0"},
		{"too many decoys", func(c *Config) { c.Decoys = 9 }, "decoys 9"},
		{"unknown kind", func(c *Config) { c.Incidents = []Kind{"meteor"} }, `unknown kind "meteor"`},
		{"kind listed twice", func(c *Config) { c.Incidents = []Kind{Jailbreak, Jailbreak} }, "listed twice"},
		{"no time to learn", func(c *Config) { c.Warmup = 0 }, "warmup"},
		{"too short for six", func(c *Config) { c.Duration = 10 * time.Hour }, "duration 10h0m0s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := DefaultConfig()
			c.change(&cfg)
			require.ErrorContains(t, cfg.Validate(), c.want)
			_, err := New(cfg)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestTruthMarshalsForALog(t *testing.T) {
	at := time.Date(2025, 10, 7, 9, 0, 0, 0, time.UTC)
	line, err := json.Marshal(Truth{ID: "truth-1", Type: "jailbreak", Subject: "key-1", Cause: Cause{"api_key", "key-1"},
		Services: []string{"care-desk"}, Onset: at, End: at.Add(time.Hour)})
	require.NoError(t, err)
	require.JSONEq(t, `{"id":"truth-1","type":"jailbreak","subject":"key-1","cause":{"kind":"api_key","subject":"key-1"},`+
		`"services":["care-desk"],"onset":"2025-10-07T09:00:00Z","end":"2025-10-07T10:00:00Z"}`, string(line))
}

// A demo must not wait for its own traffic.
func BenchmarkNext(b *testing.B) {
	spans := 0
	for b.Loop() {
		s, err := New(DefaultConfig())
		require.NoError(b, err)
		for step, ok := s.Next(); ok; step, ok = s.Next() {
			spans += step.Traces.SpanCount()
		}
	}
	b.ReportMetric(float64(spans)/b.Elapsed().Seconds(), "spans/s")
}
