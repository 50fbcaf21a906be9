package scenario

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Real variety is a matter of amounts: topics, questions for each, and values to fill them with.
func TestBankIsLarge(t *testing.T) {
	b, err := loadBank()
	require.NoError(t, err)
	topics := 0
	check := func(name string, tp *topic) {
		require.GreaterOrEqual(t, len(tp.questions), 12, name)
		require.GreaterOrEqual(t, len(tp.answers), 8, name)
		widest := 0
		for _, s := range tp.slots {
			widest = max(widest, len(s.options))
		}
		require.GreaterOrEqual(t, widest, 10, name)
	}
	for _, d := range b.domains {
		require.GreaterOrEqual(t, len(d.names), 3, d.name)
		require.Len(t, d.system, 1, "the system prompt of %s is fixed", d.name)
		for _, tp := range d.topics {
			check(d.name+"/"+tp.name, tp)
			require.NotEmpty(t, tp.tool.name, tp.name)
			require.GreaterOrEqual(t, len(tp.documents), 3, tp.name)
			topics++
		}
	}
	require.GreaterOrEqual(t, len(b.domains), 6)
	require.GreaterOrEqual(t, topics, 30)
	require.GreaterOrEqual(t, len(b.aliens), 6)
	for _, tp := range b.aliens {
		check(tp.name, tp)
	}
	require.GreaterOrEqual(t, len(b.phrases["attack"]), 25)
	require.GreaterOrEqual(t, len(b.phrases["refusal"]), 10)
	for _, list := range []string{"opening", "closing", "context", "follow", "chat", "reply", "lead", "tail", "contact",
		"distract", "flood", "slip"} {
		require.NotEmpty(t, b.phrases[list], list)
	}
}

func TestParseSlot(t *testing.T) {
	r := stream(1, "test", 0)
	for text, want := range map[string]string{"@ORD": `^ORD-\d{5}$`, "#3-9": `^[3-9]$`, "$5-7": `^[56]\.\d\d$`, "red | blue": `^(red|blue)$`} {
		s, err := parseSlot(text)
		require.NoError(t, err)
		require.Regexp(t, want, s.fill(r))
	}
	for _, text := range []string{"", "#9-3", "#a-b", "$1", `say "no"`} {
		_, err := parseSlot(text)
		require.Error(t, err, text)
	}
}

// People write one sentence after another, whatever pieces it was made of.
func TestJoin(t *testing.T) {
	require.Equal(t, "Hi, where is my order?", join("Hi,", "Where is my order?"))
	require.Equal(t, "Hi, I lost it.", join("Hi,", "I lost it."))
	require.Equal(t, "Thanks. Where is it?", join("Thanks.", "Where is it?"))
	require.Equal(t, "stock in Oslo. Cheers", join("stock in Oslo", "Cheers"))
	require.Equal(t, "Hi, ORD-10000 is late.", join("Hi,", "ORD-10000 is late."))
}
