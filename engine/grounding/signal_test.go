package grounding

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const harbour = `Lund dug its harbour in 1742. The engineer Clara Berg drew the plans and 300 workers dug by hand.
Storms closed the harbour twice, but no ship was lost.`

func against(answer string) signals {
	return read([]string{harbour}, "who drew the plans?").compare(answer)
}

func TestCopiedAnswerHasNothingAgainstIt(t *testing.T) {
	s := against("Lund dug its harbour in 1742. Storms closed the harbour twice, but no ship was lost.")
	require.Zero(t, s.raw())
	require.Zero(t, s.share)
}

func TestEachSignalSeesItsKindOfMistake(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		signal func(signals) float64
		want   float64
	}{
		"a name":            {"The plans were drawn by Clara Jensen.", func(s signals) float64 { return s.Invented }, 1},
		"a number":          {"In 1743 Lund dug its harbour.", func(s signals) float64 { return s.Invented }, 1},
		"a spelt number":    {"Lund dug with 300 workers in two years, 2 by hand.", func(s signals) float64 { return s.Invented }, 1},
		"an order":          {"Storms later closed the harbour.", func(s signals) float64 { return s.Sequenced }, 1},
		"a denial":          {"Storms never closed the harbour twice.", func(s signals) float64 { return s.Negated }, 0},
		"an affirmation":    {"A ship was lost as storms closed the harbour twice.", func(s signals) float64 { return s.Negated }, 1},
		"a remark":          {"It is unclear who drew the plans.", func(s signals) float64 { return s.Commented }, 1},
		"far apart":         {"Lund hand.", func(s signals) float64 { return s.Recombined }, 1},
		"what was asked":    {"Who drew the plans? Clara Berg.", func(s signals) float64 { return s.Invented }, 0},
		"nothing in common": {"Giants built castles.", func(s signals) float64 { return s.Unsupported }, 1},
		"half":              {"Storms closed castles: giants.", func(s signals) float64 { return s.Unsupported }, 0.5},
	} {
		t.Run(name, func(t *testing.T) { require.InDelta(t, c.want, c.signal(against(c.answer)), 1e-12) })
	}
}

func TestPassageThatBeginsInTheMiddle(t *testing.T) {
	s := read([]string{"He was replaced by Clara Berg.", "Lund dug its harbour."}, "").compare("Lund dug its harbour.")
	require.Equal(t, 0.5, s.Dangling)
}

func TestWorstSentenceIsNamed(t *testing.T) {
	require.Equal(t, "Giants sang all night.", against("Lund dug its harbour in 1742. Giants sang all night.").lacks[0].sentence)
}

func TestSentences(t *testing.T) {
	for text, want := range map[string][]string{
		"One sentence here. Another one there.":   {"One sentence here.", "Another one there."},
		"It grew by 3.5 per cent e.g. last year.": {"It grew by 3.5 per cent e.g. last year."},
		"- first point is made\n- second is made": {"- first point is made", "- second is made"},
		"Heading\nThe text goes on.":              {"The text goes on."},
		`He said "so it is." Then he left us.`:    {`He said "so it is."`, "Then he left us."},
		"":                                        nil,
	} {
		require.Equal(t, want, sentences(text), text)
	}
}

func TestInflectionIsNoDifference(t *testing.T) {
	require.Equal(t, content(words("closed harbours")), content(words("The closing of a harbour")))
}

// FuzzCompare shows that no text breaks the signals, and that none of them is negative.
func FuzzCompare(f *testing.F) {
	f.Add(harbour, "who?", "Clara Berg drew them in 1742, later.")
	f.Add("", "", "\xff\n. ?")
	f.Fuzz(func(t *testing.T, passage, asked, answer string) {
		raw := read([]string{passage}, asked).compare(answer).raw()
		require.True(t, raw >= 0 && !math.IsInf(raw, 1), raw)
		require.InDelta(t, 0, read([]string{passage}, asked).compare(strings.Repeat(" ", 3)).Unsupported, 1e-12)
	})
}
