package scenario

import (
	"math/rand/v2"
	"strings"
	"unicode"
)

// tone is how a user writes.
type tone int

const (
	plain tone = iota
	polite
	terse
	chatty
	sloppy
	tones
)

const (
	smallTalkShare = 0.06   // of last turns of longer conversations
	contactShare   = 0.012  // of prompts that hold a (fictitious) email address or phone number
	floodChars     = 10_000 // captured text of a flooding prompt; instrumentation cuts the rest
)

// writing is the text of one turn.
type writing struct {
	prompt    string
	smallTalk bool // asks for nothing, so no search and no tool
}

// write makes up what the user says in this turn.
func (s *Scenario) write(ses *session) writing {
	b, r := s.bank, ses.r
	followUp := len(ses.history) > 0
	say := func(list string) string { return b.render(r, pick(r, b.phrases[list]), ses.topic, ses.values) }
	ask := func() string { return b.render(r, ses.nextQuestion(), ses.topic, ses.values) }

	switch {
	case ses.purpose == attacking:
		// A fresh filling: attempts under one key share no words but those of the family.
		return writing{prompt: b.render(r, pick(r, b.phrases["attack"]), ses.topic, filling{})}
	case ses.purpose == flooding:
		return writing{prompt: say("flood") + "\n\n" + s.dump(ses)}
	case ses.purpose == working && followUp && ses.turns == 1 && chance(r, smallTalkShare):
		return writing{prompt: say("chat"), smallTalk: true}
	}

	text := ask()
	if ses.user.tone == chatty && chance(r, 0.5) {
		text = join(text, ask())
	}
	switch {
	case followUp && chance(r, 0.6):
		text = join(say("follow"), text)
	case !followUp && ses.user.tone == chatty:
		text = join(say("opening"), join(say("context"), text))
	case !followUp && ses.user.tone == polite:
		text = join(say("opening"), text)
	}
	if chance(r, [tones]float64{plain: 0.25, polite: 0.7, chatty: 0.9}[ses.user.tone]) {
		text = join(text, say("closing"))
	}
	if chance(r, contactShare) {
		text = join(text, say("contact"))
	}
	switch {
	case ses.user.tone == terse:
		text = strings.ToLower(strings.TrimRight(text, ".?! "))
	case ses.user.tone == sloppy:
		text = misspell(r, strings.ToLower(text))
	case chance(r, 0.05):
		text = misspell(r, text)
	}
	return writing{prompt: text}
}

// join puts two pieces of text together as one would write them: it ends the sentence before a capital and goes on in
// lower case after a comma.
func join(a, b string) string {
	switch last := a[len(a)-1]; {
	case last == '.', last == '?', last == '!', last == ':':
		return a + " " + b
	case last != ',':
		return a + ". " + b
	case len(b) > 1 && unicode.IsUpper(rune(b[0])) && unicode.IsLower(rune(b[1])):
		return a + " " + strings.ToLower(b[:1]) + b[1:]
	default:
		return a + " " + b
	}
}

// dump is a long paste of material that the service knows, over and over.
func (s *Scenario) dump(ses *session) string {
	var out strings.Builder
	for out.Len() < floodChars {
		t := pick(ses.r, ses.service.topics)
		d := pick(ses.r, t.documents)
		out.WriteString(d.title + "\n" + d.text + " ")
		values := filling{}
		for range 3 {
			out.WriteString(s.bank.render(ses.r, pick(ses.r, t.answers), t, values) + " ")
		}
		out.WriteString("\n\n")
	}
	return out.String()
}

// reply makes up the answer of the model to w, given the documents that were found.
func (s *Scenario) reply(ses *session, w writing, found []document) string {
	b, r := s.bank, ses.r
	say := func(list string) string { return b.render(r, pick(r, b.phrases[list]), ses.topic, ses.values) }
	switch {
	case w.smallTalk:
		return say("reply")
	case ses.purpose == attacking && chance(r, 0.92):
		return say("refusal")
	case ses.purpose == attacking:
		return say("slip")
	}
	var sentences []string
	switch {
	case ses.purpose == wandering && chance(r, 0.5):
		sentences = append(sentences, say("distract"))
	case chance(r, 0.3):
		sentences = append(sentences, say("lead"))
	}
	for _, a := range sample(r, ses.topic.answers, 2+r.IntN(3)) {
		sentences = append(sentences, b.render(r, a, ses.topic, ses.values))
	}
	if ses.purpose != wandering && len(found) > 0 {
		sentences = append(sentences, pick(r, strings.SplitAfter(found[0].text, ". ")))
	}
	if len(sentences) < 6 && chance(r, 0.25) {
		sentences = append(sentences, say("tail"))
	}
	for i, text := range sentences {
		sentences[i] = capitalise(strings.TrimSpace(text))
	}
	return strings.Join(sentences, " ")
}

func capitalise(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

// misspell swaps two neighbouring letters, or drops one, in a longer word that is no identifier.
func misspell(r *rand.Rand, text string) string {
	words := strings.Split(text, " ")
	for range 4 {
		i := r.IntN(len(words))
		word := []byte(words[i])
		if len(word) < 5 || strings.ContainsFunc(words[i], func(c rune) bool { return c > unicode.MaxASCII || !unicode.IsLetter(c) }) {
			continue
		}
		at := 1 + r.IntN(len(word)-3)
		if chance(r, 0.5) {
			word[at], word[at+1] = word[at+1], word[at]
		} else {
			word = append(word[:at], word[at+1:]...)
		}
		words[i] = string(word)
		break
	}
	return strings.Join(words, " ")
}
