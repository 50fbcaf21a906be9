package scenario

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMatch(t *testing.T) {
	at := func(minutes int) time.Time {
		return time.Date(2025, 10, 7, 9, 0, 0, 0, time.UTC).Add(time.Duration(minutes) * time.Minute)
	}
	latency := Truth{ID: "t1", Type: "latency_spike", Subject: "care-desk", Cause: Cause{"model_version", "v2"}, Onset: at(0), End: at(60)}
	abuse := Truth{ID: "t2", Type: "token_abuse", Subject: "user-1", Cause: Cause{"user", "user-1"}, Onset: at(120), End: at(180)}
	again := latency
	again.ID, again.Onset, again.End = "t3", at(300), at(360)

	found := func(id string, from, to int, change ...func(*Found)) Found {
		f := Found{ID: id, Type: "latency_spike", Subject: "care-desk", CauseKind: "model_version", CauseSubject: "v2", Start: at(from), End: at(to)}
		for _, c := range change {
			c(&f)
		}
		return f
	}
	const slack = 10 * time.Minute
	for _, c := range []struct {
		name   string
		truths []Truth
		found  []Found
		want   string
	}{
		{"nothing at all", nil, nil, `{"injected":0,"found":0,"false":0,"causes_correct":0}`},
		{"found and explained", []Truth{latency}, []Found{found("a", 5, 50)}, `{"injected":1,"found":1,"false":0,"causes_correct":1}`},
		{"missed", []Truth{latency, abuse}, []Found{found("a", 5, 50)}, `{"injected":2,"found":1,"false":0,"causes_correct":1}`},
		{"a duplicate is false", []Truth{latency}, []Found{found("a", 5, 20), found("b", 25, 50)}, `{"injected":1,"found":1,"false":1,"causes_correct":1}`},
		{"wrong subject", []Truth{latency}, []Found{found("a", 5, 50, func(f *Found) { f.Subject = "trip-desk" })}, `{"injected":1,"found":0,"false":1,"causes_correct":0}`},
		{"wrong type", []Truth{latency}, []Found{found("a", 5, 50, func(f *Found) { f.Type = "cost_overrun" })}, `{"injected":1,"found":0,"false":1,"causes_correct":0}`},
		{"wrong cause subject", []Truth{latency}, []Found{found("a", 5, 50, func(f *Found) { f.CauseSubject = "v1" })}, `{"injected":1,"found":1,"false":0,"causes_correct":0}`},
		{"wrong cause kind", []Truth{latency}, []Found{found("a", 5, 50, func(f *Found) { f.CauseKind = "deployment" })}, `{"injected":1,"found":1,"false":0,"causes_correct":0}`},
		{"before the onset", []Truth{latency}, []Found{found("a", -50, -1)}, `{"injected":1,"found":0,"false":1,"causes_correct":0}`},
		{"reaches into the onset", []Truth{latency}, []Found{found("a", -50, 0)}, `{"injected":1,"found":1,"false":0,"causes_correct":1}`},
		{"late, but within the slack", []Truth{latency}, []Found{found("a", 70, 90)}, `{"injected":1,"found":1,"false":0,"causes_correct":1}`},
		{"later than the slack", []Truth{latency}, []Found{found("a", 71, 90)}, `{"injected":1,"found":0,"false":1,"causes_correct":0}`},
		{"still open", []Truth{latency}, []Found{found("a", -5, 0, func(f *Found) { f.End = time.Time{} })}, `{"injected":1,"found":1,"false":0,"causes_correct":1}`},
		{"the same thing twice in a day", []Truth{again, latency}, []Found{found("b", 305, 350), found("a", 5, 50)}, `{"injected":2,"found":2,"false":0,"causes_correct":2}`},
		{"one long report is one find", []Truth{latency, again}, []Found{found("a", 5, 350)}, `{"injected":2,"found":1,"false":0,"causes_correct":1}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := Match(c.truths, c.found, slack)
			require.Equal(t, c.want, out.Summary())
			require.Len(t, out.Missed, out.Injected-out.Found)
			require.Len(t, out.Matches, out.Found)
			require.Len(t, out.FalseOnes, len(c.found)-out.Found)
		})
	}
}

func TestMatchTakesTheFirstReport(t *testing.T) {
	onset := time.Date(2025, 10, 7, 9, 0, 0, 0, time.UTC)
	truth := Truth{Type: "jailbreak", Subject: "key-1", Onset: onset, End: onset.Add(time.Hour)}
	late := Found{ID: "late", Type: "jailbreak", Subject: "key-1", Start: onset.Add(30 * time.Minute)}
	early := Found{ID: "early", Type: "jailbreak", Subject: "key-1", Start: onset.Add(5 * time.Minute)}
	out := Match([]Truth{truth}, []Found{late, early}, 0)
	require.Equal(t, "early", out.Matches[0].Found.ID)
	require.Equal(t, "late", out.FalseOnes[0].ID)
}
