package explain

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// faithful is a reply that says what the draft says, as a good model would.
func faithful(d *draft) reply {
	p := d.prompt(d.shown(), nil)
	r := reply{
		Hypothesis: replyClaim{Cause: p.Hypothesis.Cause, Citations: p.Hypothesis.Citations, Text: p.Hypothesis.Text},
		Summary:    replyClaim{Citations: p.Summary.Citations, Text: p.Summary.Text},
	}
	for _, a := range p.Recommendations {
		r.Recommendations = append(r.Recommendations, replyClaim{Citations: a.Citations, Text: a.Text})
	}
	return r
}

func TestCheckAcceptsWhatTheEvidenceShows(t *testing.T) {
	for _, s := range Scenarios() {
		d := write(s.Incident, s.Evidence)
		r, malformed := parseReply(encode(t, faithful(d)))
		require.Nil(t, malformed, s.Name)
		require.Empty(t, d.check(r), s.Name)
	}
	s := modelVersionSlows()
	d := write(s.Incident, s.Evidence)
	for _, text := range []string{
		"Latency went up almost fourfold, from 910 ms to 3.4 seconds.",
		"Latency is 3.8 times what it was.",
		"Median latency rose from 0.91s to 3.42s [E2], for 57 users [E1].",
		"p50 of `assistant chat aurora-large` is now about 3.4 s, a factor of 3.8x.",
		"It began at 12:00 UTC on 2025-09-15.",
		"1. Latency went up a lot for the assistant.\n2. It began at 12:00 UTC.",
	} {
		r := faithful(d)
		r.Recommendations[0] = replyClaim{Citations: []string{"E1", "E2"}, Text: text}
		require.Empty(t, d.check(r), text)
	}
}

// act is a recommendation that rests on most of the facts.
func act(text string) replyClaim {
	return replyClaim{Citations: []string{"E1", "E2", "E4", "E5"}, Text: text}
}

func TestCheckRefusesWhatTheEvidenceDoesNotShow(t *testing.T) {
	s := modelVersionSlows()
	for _, tc := range []struct {
		name   string
		reason string
		spoil  func(r *reply)
	}{
		{"a fact that does not exist", FallbackCitation, func(r *reply) { r.Summary.Citations = []string{"E1", "E99"} }},
		{"a fact that does not exist, in the text", FallbackCitation, func(r *reply) { r.Summary.Text += " See also [E77]." }},
		{"a claim that cites nothing", FallbackCitation, func(r *reply) { r.Recommendations[0].Citations = nil }},
		{"a trace that does not exist", FallbackCitation, func(r *reply) { r.Summary.Text += " Look at trace 0123456789abcdef0123456789abcdef." }},
		{"a span that does not exist", FallbackCitation, func(r *reply) { r.Summary.Text += " Look at span 0123456789abcdef." }},
		{"an address that does not exist", FallbackCitation, func(r *reply) { r.Summary.Text += " Details at https://evil.example/x." }},
		{"a figure that does not exist", FallbackNumber, func(r *reply) { r.Recommendations[0] = act("Latency went from 0.91 s to 9.7 s, says the assistant.") }},
		{"a figure of a fact that is not cited", FallbackNumber, func(r *reply) {
			r.Recommendations[0] = replyClaim{Citations: []string{"E5"}, Text: "Act now, as 85 % of the calls are abnormal."}
		}},
		{"a figure in words", FallbackNumber, func(r *reply) { r.Recommendations[0] = act("Latency has doubled since the new version came.") }},
		{"a figure with another unit", FallbackNumber, func(r *reply) { r.Recommendations[0] = act("Latency went up to 57 seconds since the change.") }},
		{"a percentage out of a count", FallbackNumber, func(r *reply) { r.Recommendations[0] = act("About 57 % of all the users are affected by it.") }},
		{"a figure that is rounded away", FallbackNumber, func(r *reply) { r.Recommendations[0] = act("Latency went up to 3 s since the change at noon.") }},
		{"a version that does not exist", FallbackNumber, func(r *reply) { r.Recommendations[0] = act("The model aurora-large-2025-10-01 made it slow.") }},
		{"a time that does not exist", FallbackNumber, func(r *reply) { r.Recommendations[0] = act("It all began at 17:35 UTC in the assistant.") }},
		{"another cause", FallbackUnknownCause, func(r *reply) { r.Hypothesis.Cause = "C2" }},
		{"a made-up cause", FallbackUnknownCause, func(r *reply) { r.Hypothesis.Cause = "the database" }},
		{"a summary without the cause", FallbackUnknownCause, func(r *reply) { r.Summary.Text = "Roll back aurora-large-2025-06-01, which is slow." }},
		{"a text about another cause", FallbackUnknownCause, func(r *reply) { r.Hypothesis.Text = "The database was slow, which slowed the model." }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := write(s.Incident, s.Evidence)
			r := faithful(d)
			tc.spoil(&r)
			problems := d.check(r)
			require.NotEmpty(t, problems)
			require.Equal(t, tc.reason, problems[0].reason, problems[0].detail)
			require.Less(t, len(problems[0].detail), 300)
		})
	}
}

func TestParseReplyRefusesOtherShapes(t *testing.T) {
	const good = `{"hypothesis":{"cause":"C1","citations":["E1"],"text":"The version is slow, says E1."},` +
		`"recommendations":[{"citations":["E1"],"text":"Roll the version back now."}],"summary":{"citations":["E1"],"text":"Latency went up for all users."}}`
	_, p := parseReply("\n" + good + " ")
	require.Nil(t, p)
	for name, tc := range map[string]struct{ text, reason string }{
		"empty":             {"", FallbackInvalidJSON},
		"prose":             {"Here is the note you asked for.", FallbackInvalidJSON},
		"cut off":           {good[:len(good)-9], FallbackInvalidJSON},
		"two objects":       {good + good, FallbackInvalidJSON},
		"an array":          {"[" + good + "]", FallbackSchema},
		"null":              {"null", FallbackSchema},
		"an unknown field":  {strings.Replace(good, `"summary"`, `"mood":"fine","summary"`, 1), FallbackSchema},
		"a wrong type":      {strings.Replace(good, `["E1"]`, `"E1"`, 1), FallbackSchema},
		"no cause":          {strings.Replace(good, `"cause":"C1",`, ``, 1), FallbackSchema},
		"a stray cause":     {strings.Replace(good, `"summary":{`, `"summary":{"cause":"C1",`, 1), FallbackSchema},
		"no recommendation": {strings.Replace(good, `[{"citations":["E1"],"text":"Roll the version back now."}]`, `[]`, 1), FallbackSchema},
		"a text too short":  {strings.Replace(good, "Roll the version back now.", "Act.", 1), FallbackSchema},
		"a text too long":   {strings.Replace(good, "Roll the version", strings.Repeat("Roll ", 200), 1), FallbackSchema},
		"too many facts":    {strings.Replace(good, `["E1"]`, `["E1","E1","E1","E1","E1","E1","E1","E1","E1"]`, 1), FallbackSchema},
		"a huge reply":      {`"` + strings.Repeat("x", maxReplyBytes) + `"`, FallbackSchema},
	} {
		t.Run(name, func(t *testing.T) {
			_, p := parseReply(tc.text)
			require.NotNil(t, p)
			require.Equal(t, tc.reason, p.reason)
		})
	}
}

// Whatever a model answers, parsing and checking end with a verdict, and what passes makes a note that claims nothing else.
func FuzzReply(f *testing.F) {
	s := modelVersionSlows()
	f.Add(`{"hypothesis":{"cause":"C1","citations":["E4"],"text":"Model version aurora-large-2025-09-15 is slow."},` +
		`"recommendations":[{"citations":["E4"],"text":"Roll the version back now."}],"summary":{"citations":["E2"],"text":"Latency went from 0.91 s to 3.42 s with aurora-large-2025-09-15."}}`)
	f.Add(`{"hypothesis":null}`)
	f.Add("```json\n{}\n```")
	f.Add(`{"summary":{"text":"1,2,3-4 ×9 50% E0 [E1,E2] http://x ٣"}}`)
	f.Fuzz(func(t *testing.T, text string) {
		r, p := parseReply(text)
		d := write(s.Incident, s.Evidence)
		problems := d.check(r)
		if p != nil || len(problems) > 0 {
			return
		}
		d.reword(r)
		note := d.explanation().Note
		require.Equal(t, 1, strings.Count(note, "\n## Evidence\n"))
		require.NotContains(t, d.summary.text+d.statements[0].text, "<")
		require.NotEmpty(t, d.summary.citations)
	})
}
