package explain

import (
	"slices"
	"strings"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Deterministic is the author of notes that no language model had a hand in.
const Deterministic = "deterministic"

// draft is a note in the making: what may be claimed, what is held to be the cause, and the sentences. A language model
// replaces sentences; it adds no facts and no causes.
type draft struct {
	in     engine.Incident
	ev     engine.Evidence
	causes []cause
	facts  *facts

	summary         claim
	statements      []claim // one a cause, in the same order
	against         []claim
	recommendations []claim
}

// claim is a text and the facts that it rests on, which it names itself, as in "[E3]".
type claim struct {
	text      string
	citations []string
}

// say writes a claim of sentences that each name their facts.
func say(sentences ...claim) claim {
	var out claim
	for _, s := range sentences {
		if s.text == "" {
			continue
		}
		if out.text != "" {
			out.text += " "
		}
		out.text += s.text
		for _, id := range s.citations {
			if !slices.Contains(out.citations, id) {
				out.citations = append(out.citations, id)
			}
		}
	}
	return out
}

// sentence ends a text with its citations and a full stop. Ids that are "" are left out.
func sentence(text string, ids ...string) claim {
	ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return id == "" })
	return claim{text: text + brackets(ids) + ".", citations: ids}
}

func brackets(ids []string) string {
	var b strings.Builder
	for _, id := range ids {
		b.WriteString(" [" + id + "]")
	}
	return b.String()
}

// write makes the deterministic note.
func write(in engine.Incident, ev engine.Evidence) *draft {
	causes := rank(in, ev)
	d := &draft{in: in, ev: ev, causes: causes, facts: cite(in, ev, causes)}
	d.summary = d.summarise()
	for _, c := range causes {
		d.statements = append(d.statements, d.state(c))
	}
	d.against = d.counter()
	d.recommendations = d.recommend()
	return d
}

func (d *draft) summarise() claim {
	var happened claim
	switch f := d.facts; {
	case len(f.changes) > 0:
		c := d.ev.Changes[0]
		happened = sentence(sentenceCase(words(c.What))+" of "+code(c.Series)+" went "+effect(c.Effect), f.changes[0])
	case d.in.Effect != (engine.Effect{}):
		happened = sentence(sentenceCase(words(string(d.in.Type)))+": the measured effect went "+effect(d.in.Effect), f.incident)
	default:
		happened = sentence(sentenceCase(words(string(d.in.Type)))+" was detected", f.incident)
	}
	var where string
	if len(d.in.Services) > 0 {
		where = " in " + services(d.in)
	}
	var since, hits claim
	if !d.in.Onset.IsZero() {
		since = sentence("It began at "+clock(d.in.Onset)+where, d.facts.incident)
	}
	if d.in.Users > 0 {
		hits = sentence("Affected users: "+number(float64(d.in.Users)), d.facts.incident)
	}
	likely := sentence("The likely cause is "+subject(d.causes[0].Subject), d.groundsOf(d.causes[0])...)
	if d.causes[0].vague {
		likely = sentence("No single cause stands out", d.facts.incident)
	}
	return say(happened, since, hits, likely)
}

// groundsOf are the facts that a cause rests on; the incident itself where there is nothing better.
func (d *draft) groundsOf(c cause) []string {
	ids := []string{d.facts.slices[c.slice], d.facts.markers[c.marker]}
	if c.Kind == engine.SubjectTopic {
		ids = []string{d.facts.slices[c.slice], d.facts.abnormal, d.facts.terms}
	}
	ids = slices.DeleteFunc(ids, func(id string) bool { return id == "" })
	if len(ids) == 0 || c.vague || c.slice < 0 {
		ids = append([]string{d.facts.incident}, ids...)
	}
	return ids
}

// state says why the cause is likely.
func (d *draft) state(c cause) claim {
	switch {
	case c.vague:
		return sentence("No single cause stands out: no version, provider, user, tenant, key or tool explains the abnormal in "+
			code(c.Value), d.facts.incident, d.facts.slices[c.slice])
	case c.Kind == engine.SubjectTopic:
		return d.stateTopic(c)
	case c.slice < 0:
		return sentence("The detector found it on "+subject(c.Subject)+", and the evidence neither confirms nor refutes that", d.facts.incident)
	}
	s, id := d.ev.Slices[c.slice], d.facts.slices[c.slice]
	holds := sentence(sentenceCase(subject(c.Subject))+" holds "+percent(s.AbnormalShare)+" of the abnormal and held "+
		percent(s.BaselineShare)+" of the calm traffic", id)
	rate := sentence("Of what runs through it "+percent(s.Rate)+" is abnormal, "+elsewhere(s), id)
	var appeared, announced claim
	if s.New {
		text := "It was not seen in the calm interval"
		if !s.FirstSeen.IsZero() {
			text += " and first appeared at " + clock(s.FirstSeen)
		}
		appeared = sentence(text, id)
	}
	if c.marker >= 0 {
		m := d.ev.Markers[c.marker]
		announced = sentence("A change marker names it: "+words(string(m.Kind))+" at "+clock(m.At), d.facts.markers[c.marker])
	}
	return say(holds, rate, appeared, announced)
}

func (d *draft) stateTopic(c cause) claim {
	where := d.facts.slices[c.slice]
	if where == "" {
		where = d.facts.incident
	}
	about := sentence("Requests to "+code(c.Value)+" are about something that it was not asked before", where, d.facts.abnormal, d.facts.normal)
	var telling claim
	if d.facts.terms != "" {
		telling = sentence("Telling words are "+terms(d.ev), d.facts.terms)
	}
	var actors []string
	for _, kind := range []string{engine.SubjectUser, engine.SubjectTenant, engine.SubjectAPIKey} {
		i := slices.IndexFunc(d.ev.Slices, func(s engine.Slice) bool { return s.Kind == kind })
		if i >= 0 && d.facts.slices[i] != "" {
			actors = append(actors, d.facts.slices[i])
		}
	}
	var spread claim
	if len(actors) > 0 && c.purity >= 0.5 {
		spread = sentence("No user, tenant or key stands out", actors...)
	}
	return say(about, telling, spread)
}

// counter says what speaks against the first cause: what it leaves unexplained, and the changes that had no effect.
func (d *draft) counter() []claim {
	var out []claim
	first := d.causes[0]
	if !first.vague && first.slice >= 0 && first.Kind != engine.SubjectTopic {
		s, id := d.ev.Slices[first.slice], d.facts.slices[first.slice]
		if isAll(s) {
			out = append(out, sentence("Nearly all traffic runs through it, so there is nothing to compare it with; the detector names it", id, d.facts.incident))
		}
		if s.AbnormalShare < 0.8 {
			out = append(out, sentence(sentenceCase(subject(first.Subject))+" holds no more than "+percent(s.AbnormalShare)+" of the abnormal", id))
		}
		if s.Rate < 0.2 {
			out = append(out, sentence("Most of what runs through it is fine: "+percent(s.Rate)+" is abnormal", id))
		}
		if isVersion := strings.HasSuffix(first.Kind, "_version"); isVersion && !s.New && first.marker < 0 {
			out = append(out, sentence("It was there before, and no change marker names it", id))
		}
	}
	at := onset(d.in, d.ev)
	for i, m := range d.ev.Markers {
		id := d.facts.markers[i]
		if id == "" || slices.ContainsFunc(d.causes, func(c cause) bool { return c.marker == i }) {
			continue
		}
		what := "The " + words(string(m.Kind)) + " of " + changed(m)
		slice := sliceOf(d.in, m, d.ev.Slices)
		switch {
		case m.At.After(at.Add(clockSlack)):
			out = append(out, sentence(what+" came after the onset", id, d.facts.incident))
		case slice >= 0:
			s := d.ev.Slices[slice]
			verdict := " explains less: "
			if s.Rest > 0 && s.Rate <= 1.2*s.RestRate {
				verdict = " shows no effect of this kind: "
			}
			out = append(out, sentence(what+verdict+"it holds "+percent(s.AbnormalShare)+" of the abnormal, and "+percent(s.Rate)+
				" of what runs through it is abnormal, "+elsewhere(s), id, d.facts.slices[slice]))
		default:
			out = append(out, sentence(what+" is not blamed: the abnormal does not concentrate in what it changed", id))
		}
	}
	return out
}

func changed(m engine.ChangeMarker) string {
	name, version := m.Subject, m.Version
	if name == "" {
		name = m.Service
	}
	switch {
	case version == "":
		return code(name)
	case name == "":
		return code(version)
	}
	return code(name) + " to " + code(version)
}

// subject writes "model version `aurora-2`".
func subject(s engine.Subject) string {
	if s.Kind == engine.SubjectTopic {
		return "an unfamiliar topic in " + code(s.Value)
	}
	return words(s.Kind) + " " + code(s.Value)
}

// explanation is the draft as the domain has it, with the note in Markdown.
func (d *draft) explanation() engine.Explanation {
	out := engine.Explanation{
		Summary:        d.summary.text,
		Citations:      d.facts.list,
		Author:         Deterministic,
		EvidenceDigest: d.ev.Digest,
	}
	for i, c := range d.causes {
		out.Hypotheses = append(out.Hypotheses, engine.Hypothesis{
			Cause: c.Subject, Statement: d.statements[i].text, Confidence: c.confidence, Citations: d.statements[i].citations,
		})
	}
	for _, r := range d.recommendations {
		out.Recommendations = append(out.Recommendations, engine.Recommendation{Text: r.text, Citations: r.citations})
	}
	out.Note = d.markdown()
	return out
}

func (d *draft) markdown() string {
	var b strings.Builder
	section := func(title string) { b.WriteString("\n## " + title + "\n\n") }
	item := func(text string) { b.WriteString("- " + text + "\n") }

	b.WriteString("# " + sentenceCase(words(string(d.in.Type))))
	if len(d.in.Services) > 0 {
		b.WriteString(" in " + services(d.in))
	}
	b.WriteString("\n")

	section("What happened")
	b.WriteString(d.summary.text + "\n")
	if len(d.facts.changes) > 1 {
		b.WriteString("\n")
		for i, id := range d.facts.changes[1:] {
			c := d.ev.Changes[i+1]
			item(sentence(sentenceCase(words(c.What))+" of "+code(c.Series)+" went "+effect(c.Effect), id).text)
		}
	}

	section("Likely cause")
	b.WriteString("**" + sentenceCase(subject(d.causes[0].Subject)) + "** (" + confidence(d.causes[0].confidence) + " confidence)" +
		brackets(d.groundsOf(d.causes[0])) + "\n\n" + d.statements[0].text + "\n")

	if len(d.causes) > 1 || len(d.against) > 0 {
		section("Against it, and alternatives")
		for _, c := range d.against {
			item(c.text)
		}
		for i, c := range d.causes[1:] {
			item("**" + sentenceCase(subject(c.Subject)) + "** (" + confidence(c.confidence) + " confidence)" +
				brackets(d.groundsOf(c)) + ": " + d.statements[i+1].text)
		}
	}

	section("What to do")
	for _, r := range d.recommendations {
		item(r.text)
	}

	if len(d.facts.similar) > 0 {
		section("Seen before")
		for i, id := range d.facts.similar {
			item(sentence(strings.TrimSuffix(pastFact(d.ev.Similar[i]), "."), id).text)
		}
	}

	section("Evidence")
	for _, e := range d.facts.list {
		text := "**" + e.ID + "** " + e.Text
		if e.TraceID != "" {
			text += " Trace " + code(e.TraceID)
			if e.SpanID != "" {
				text += ", span " + code(e.SpanID)
			}
			text += "."
		}
		item(text)
	}
	return b.String()
}

// confidence is said in words: the number is an estimate, and no evidence shows it.
func confidence(c float64) string {
	switch {
	case c >= 0.6:
		return "high"
	case c >= 0.35:
		return "moderate"
	}
	return "low"
}
