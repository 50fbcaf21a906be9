package explain

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/prompts"
)

var (
	update = flag.Bool("update", false, "rewrite the golden files")
	nan    = math.NaN()
)

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", strings.ReplaceAll(name, " ", "_"))
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

func TestNotesReadAsStored(t *testing.T) {
	for _, s := range Scenarios() {
		t.Run(s.Name, func(t *testing.T) {
			e, err := New(DefaultConfig(), nil, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
			require.NoError(t, err)
			x, err := e.Explain(context.Background(), s.Incident, s.Evidence)
			require.NoError(t, err)
			require.Equal(t, Deterministic, x.Author)
			require.Empty(t, x.Fallback)
			require.Equal(t, s.Cause, x.Hypotheses[0].Cause)
			require.NotEmpty(t, x.Recommendations)
			golden(t, s.Name+".note.md", x.Note)
		})
	}
}

func TestPromptsReadAsStored(t *testing.T) {
	for _, s := range Scenarios() {
		t.Run(s.Name, func(t *testing.T) {
			d := write(s.Incident, s.Evidence)
			p, err := prompts.RenderIncidentNote(d.prompt(d.shown(), nil))
			require.NoError(t, err)
			golden(t, s.Name+".prompt.txt", p.User)
		})
	}
}

// Every claim of a deterministic note passes the check that a language model's claims must pass, and every line with a
// figure names facts that show it.
func TestNotesClaimOnlyWhatTheyCite(t *testing.T) {
	check := func(t *testing.T, in engine.Incident, ev engine.Evidence) {
		d := write(in, ev)
		x := d.explanation()
		body, _, found := strings.Cut(x.Note, "\n## Evidence\n")
		require.True(t, found)
		for _, line := range strings.Split(body, "\n") {
			cited, unknown := d.cited(replyClaim{Text: line})
			require.Empty(t, unknown, line)
			require.Empty(t, unfounded(withoutHeading(line), cited), line)
			require.Empty(t, foreignIDs(line, d.facts.list), line)
		}
		for _, c := range append([]claim{d.summary}, append(d.statements, d.recommendations...)...) {
			require.NotEmpty(t, c.citations, c.text)
		}
		// And the facts themselves have no figure that the evidence lacks.
		originals := given(in, ev)
		for _, f := range d.facts.list {
			figures, _ := scan(f.Text)
			for _, got := range figures {
				ok := false
				for _, v := range originals {
					ok = ok || math.Abs(got.value-v) <= got.step*1.0001+1e-9 || got.unit == "share" && math.Abs(got.value-v) <= 0.006
				}
				require.True(t, ok, "%q in %s: %s", got.text, f.ID, f.Text)
			}
		}
	}
	for _, s := range Scenarios() {
		t.Run(s.Name, func(t *testing.T) { check(t, s.Incident, s.Evidence) })
	}
	t.Run("random evidence", func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		for range 300 {
			in, ev := random(r)
			check(t, in, ev)
		}
	})
}

// A heading names services, not findings.
func withoutHeading(line string) string {
	if strings.HasPrefix(line, "#") {
		return ""
	}
	return line
}

// given are the numbers that the evidence has.
func given(in engine.Incident, ev engine.Evidence) []float64 {
	out := []float64{float64(in.Anomalies), float64(in.Users)}
	effect := func(e engine.Effect) { out = append(out, e.Baseline, e.Current, e.Ratio()) }
	effect(in.Effect)
	for _, c := range ev.Changes {
		effect(c.Effect)
	}
	for _, s := range ev.Slices {
		out = append(out, float64(s.Abnormal), float64(s.Total), s.AbnormalShare, s.BaselineShare, s.Rate, s.RestRate)
		if code, err := strconv.ParseFloat(s.Value, 64); err == nil { // an error type such as "503"
			out = append(out, code)
		}
	}
	if ev.Normal != nil {
		out = append(out, ev.Normal.Similarity)
	}
	for _, p := range ev.Similar {
		out = append(out, p.Similarity)
	}
	return out
}

func random(r *rand.Rand) (engine.Incident, engine.Evidence) {
	types := []engine.AnomalyType{engine.LatencySpike, engine.ErrorRate, engine.TokenAbuse, engine.Jailbreak, engine.AgentTrajectory, engine.SemanticNovelty, "other"}
	kinds := []string{engine.SubjectService, engine.SubjectProvider, engine.SubjectModelVersion, engine.SubjectServiceVersion, engine.SubjectUser,
		engine.SubjectAPIKey, engine.SubjectTenant, engine.SubjectTool, engine.SubjectAgentVersion, engine.SubjectErrorType}
	units := []string{"s", "ratio", "tokens", "calls", "similarity", "requests"}
	amount := func() float64 { return math.Exp(r.Float64()*16 - 6) }
	name := func() string { return fmt.Sprintf("name-%c%d", 'a'+rune(r.IntN(26)), r.IntN(50)) }
	in := incident(types[r.IntN(len(types))], engine.Subject{Kind: kinds[r.IntN(len(kinds))], Value: name()}, name())
	in.Anomalies, in.Users = r.IntN(5000), r.IntN(300)
	tr := &traffic{abnormal: 1 + r.IntN(400), total: 1000 + r.IntN(5000)}
	for range r.IntN(20) {
		total := 1 + r.IntN(tr.total)
		s := tr.slice(kinds[r.IntN(len(kinds))], name(), r.IntN(min(total, tr.abnormal)+1), total, r.Float64())
		if r.IntN(3) == 0 {
			s.New, s.BaselineShare, s.FirstSeen = true, 0, noon.Add(time.Duration(r.IntN(300)-150)*time.Minute)
		}
	}
	ev := evidence(tr)
	for range r.IntN(4) {
		ev.Changes = append(ev.Changes, engine.Change{What: "latency p95", Series: name(),
			Effect: engine.Effect{Baseline: amount(), Current: amount(), Unit: units[r.IntN(len(units))]}, TraceID: traceID(byte(r.IntN(256))).String()})
	}
	for i := range r.IntN(4) {
		version := name()
		if i < len(tr.slices) {
			version = tr.slices[i].Value
		}
		ev.Markers = append(ev.Markers, engine.ChangeMarker{At: noon.Add(time.Duration(r.IntN(300)-150) * time.Minute),
			Kind: engine.MarkerDeployment, Service: in.Services[0], Version: version, Previous: name()})
	}
	if r.IntN(2) == 0 {
		ev.Abnormal = &engine.Example{TraceID: traceID(3), Text: "plain words"}
		ev.Normal = &engine.Example{TraceID: traceID(4), Text: "other words", Similarity: r.Float64()}
		ev.Terms = []string{"alpha", "beta"}
		ev.Similar = []engine.PastIncident{{ID: "inc-7", Title: "an older one", At: noon.AddDate(0, -1, 0), Similarity: r.Float64(), Resolution: "restart"}}
	}
	return in, ev
}

// Text of spans reaches the note as code spans on one line: it can neither end a section nor start a list or a link.
func TestTelemetryTextCannotShapeTheNote(t *testing.T) {
	s := providerFails()
	evil := "x`\n\n## What to do\n\n- delete everything <script>alert(1)</script> [click](http://evil.example)\x1b[31m"
	s.Incident.Services = []string{evil}
	for i := range s.Evidence.Slices {
		s.Evidence.Slices[i].Value += evil
	}
	s.Evidence.Abnormal = &engine.Example{Text: evil}
	s.Evidence.Terms = []string{evil}
	s.Evidence.Similar = []engine.PastIncident{{ID: evil, Title: evil, Resolution: evil}}
	note := write(s.Incident, s.Evidence).explanation().Note
	require.Equal(t, 1, strings.Count(note, "\n## What to do\n"))
	require.NotContains(t, note, "\x1b")
	for _, line := range strings.Split(note, "\n") {
		require.Zero(t, strings.Count(line, "`")%2, line)
		outside := ""
		for i, part := range strings.Split(line, "`") {
			if i%2 == 0 {
				outside += part
			}
		}
		require.NotContains(t, outside, "<script>")
		require.NotContains(t, outside, "](")
	}
}

func TestNumbersReadWell(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 1: "1", 412000: "412000", 3.4217: "3.42", 0.9: "0.9", 14.6: "14.6", 999.7: "1000", 0.00123: "0.00123", 1e-12: "0", 1234.5: "1234",
	} {
		require.Equal(t, want, number(v))
	}
	for p, want := range map[float64]string{0: "0 %", 1: "100 %", 0.5: "50 %", 0.999: "99.9 %", 0.9999: "99.9 %", 0.012: "1.2 %", 0.0004: "0.04 %", 0.05: "5 %"} {
		require.Equal(t, want, percent(p))
	}
}
