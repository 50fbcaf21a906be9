package explain

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Bounds of what a note lists.
const (
	maxChanges = 8
	maxSlices  = 14
	maxMarkers = 8
	maxTerms   = 12
	maxSimilar = 3
)

// facts are the citable facts of one incident and where to find them. Ids are "" for what the evidence does not have.
type facts struct {
	list     []engine.Citation
	incident string
	changes  []string
	slices   map[int]string // by index into Evidence.Slices
	markers  map[int]string // by index into Evidence.Markers
	abnormal string
	normal   string
	terms    string
	similar  []string
}

// cite turns the evidence into facts. Slices and markers that the causes rest on come before the merely strongest ones.
func cite(in engine.Incident, ev engine.Evidence, causes []cause) *facts {
	f := &facts{slices: map[int]string{}, markers: map[int]string{}}
	f.incident = f.add(incidentFact(in), firstTrace(in), "")
	for _, c := range ev.Changes[:min(len(ev.Changes), maxChanges)] {
		text := fmt.Sprintf("%s of %s went %s.", sentenceCase(words(c.What)), code(c.Series), effect(c.Effect))
		f.changes = append(f.changes, f.add(text, c.TraceID, c.SpanID))
	}
	for _, c := range causes {
		f.slice(ev, c.slice)
		f.marker(ev, c.marker)
	}
	for i := range ev.Markers {
		if len(f.markers) < maxMarkers {
			f.marker(ev, i)
			f.slice(ev, sliceOf(in, ev.Markers[i], ev.Slices))
		}
	}
	for i := range ev.Slices {
		if len(f.slices) < maxSlices {
			f.slice(ev, i)
		}
	}
	if e := ev.Abnormal; e != nil {
		f.abnormal = f.add("An abnormal example: "+excerpt(e.Text)+".", traceText(e.TraceID), spanText(e.SpanID))
	}
	if e := ev.Normal; e != nil {
		f.normal = f.add("The nearest normal example: "+compared(e)+".", traceText(e.TraceID), spanText(e.SpanID))
	}
	if e := ev.Known; e != nil {
		text := "The known attack it resembles"
		if e.Source != "" {
			text += " (" + clean(e.Source, maxSource) + ")"
		}
		f.add(text+": "+compared(e)+".", "", "")
	}
	if len(ev.Terms) > 0 {
		f.terms = f.add("Words that tell the abnormal texts from the normal ones: "+terms(ev)+".", "", "")
	}
	for _, p := range ev.Similar[:min(len(ev.Similar), maxSimilar)] {
		f.similar = append(f.similar, f.add(pastFact(p), "", ""))
	}
	return f
}

// maxSource bounds the name of an attack's family, in bytes.
const maxSource = 64

// compared is an example with how similar it is.
func compared(e *engine.Example) string {
	if e.Similarity == 0 {
		return excerpt(e.Text)
	}
	return excerpt(e.Text) + ", similarity " + number(e.Similarity)
}

func (f *facts) add(text, traceID, spanID string) string {
	id := "E" + strconv.Itoa(len(f.list)+1)
	f.list = append(f.list, engine.Citation{ID: id, Text: text, TraceID: clean(traceID, 32), SpanID: clean(spanID, 16)})
	return id
}

func (f *facts) slice(ev engine.Evidence, i int) {
	if i < 0 || f.slices[i] != "" {
		return
	}
	s := ev.Slices[i]
	text := fmt.Sprintf("%s %s holds %s of the abnormal and held %s of the calm traffic; %d of its %d are abnormal (%s, %s)",
		sentenceCase(words(s.Kind)), code(s.Value), percent(s.AbnormalShare), percent(s.BaselineShare), s.Abnormal, s.Total, percent(s.Rate), elsewhere(s))
	if s.New {
		text += "; it is new"
		if !s.FirstSeen.IsZero() {
			text += ", first seen " + clock(s.FirstSeen)
		}
	}
	f.slices[i] = f.add(text+".", "", "")
}

func (f *facts) marker(ev engine.Evidence, i int) {
	if i < 0 || f.markers[i] != "" {
		return
	}
	m := ev.Markers[i]
	text := "Change marker: " + words(string(m.Kind))
	if m.Subject != "" {
		text += " of " + code(m.Subject)
	}
	if m.Service != "" {
		text += " in service " + code(m.Service)
	}
	if m.Version != "" {
		text += " to " + code(m.Version)
	}
	if m.Previous != "" {
		text += " from " + code(m.Previous)
	}
	text += " at " + clock(m.At)
	if m.Description != "" {
		text += ", described as " + excerpt(m.Description)
	}
	f.markers[i] = f.add(text+".", "", "")
}

// get returns the fact with the id.
func (f *facts) get(id string) (engine.Citation, bool) {
	n, err := strconv.Atoi(strings.TrimPrefix(id, "E"))
	if err != nil || n < 1 || n > len(f.list) || f.list[n-1].ID != id {
		return engine.Citation{}, false
	}
	return f.list[n-1], true
}

func incidentFact(in engine.Incident) string {
	var b strings.Builder
	noun := "anomalies"
	if in.Anomalies == 1 {
		noun = "anomaly"
	}
	fmt.Fprintf(&b, "%d %s of type %s", in.Anomalies, noun, words(string(in.Type)))
	if len(in.Services) > 0 {
		b.WriteString(" in " + services(in))
	}
	if !in.Onset.IsZero() {
		fmt.Fprintf(&b, " between %s and %s", clock(in.Onset), clock(in.LastSeen))
	}
	if in.Users > 0 {
		fmt.Fprintf(&b, "; affected users: %d", in.Users)
	}
	if in.Effect != (engine.Effect{}) {
		b.WriteString("; the measured effect went " + effect(in.Effect))
	}
	if in.Subject.Kind != "" && in.Subject.Value != "" {
		fmt.Fprintf(&b, "; detected on %s %s", words(in.Subject.Kind), code(in.Subject.Value))
	}
	return b.String() + "."
}

func pastFact(p engine.PastIncident) string {
	text := fmt.Sprintf("Past incident %s, %s, from %s is similar (%s)", code(p.ID), excerpt(p.Title), clock(p.At), number(p.Similarity))
	if p.Cause != "" {
		text += "; its cause was " + excerpt(p.Cause)
	}
	if p.Resolution != "" {
		text += "; it was resolved by " + excerpt(p.Resolution)
	}
	return text + "."
}

func services(in engine.Incident) string {
	const shown = 5
	var out []string
	for _, s := range in.Services[:min(len(in.Services), shown)] {
		out = append(out, code(s))
	}
	if len(in.Services) > shown {
		out = append(out, "others")
	}
	return list(out)
}

func terms(ev engine.Evidence) string {
	var out []string
	for _, t := range ev.Terms[:min(len(ev.Terms), maxTerms)] {
		out = append(out, span(t, maxTermRunes))
	}
	return list(out)
}

func firstTrace(in engine.Incident) string {
	if len(in.Traces) == 0 {
		return ""
	}
	return traceText(in.Traces[0])
}

func traceText(id engine.TraceID) string {
	if id.IsZero() {
		return ""
	}
	return id.String()
}

func spanText(id engine.SpanID) string {
	if id.IsZero() {
		return ""
	}
	return id.String()
}

// elsewhere says how abnormal the traffic outside a slice is, if there was any.
func elsewhere(s engine.Slice) string {
	if s.Rest == 0 {
		return "with no traffic elsewhere"
	}
	return "against " + percent(s.RestRate) + " elsewhere"
}
