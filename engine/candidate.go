package engine

import (
	"encoding/gob"
	"io"
	"time"
	"unique"
)

// candidates are the groups that are no incidents yet, as a Snapshotter. Incidents are in the store.
type candidates struct{ *grouper }

// candidate is a group as it is written, with what is remembered of its latest traces.
type candidate struct {
	Incident             Incident
	Windowed             bool
	Ready                time.Time
	Traces               []TraceID // oldest first
	Changes              map[string]Change
	Pending              []Anomaly
	Example, Near, Known *Example
	Digests              []writtenDigest
}

type writtenDigest struct {
	ID       TraceID
	Service  string
	At       time.Time
	Lead     SpanID
	Duration time.Duration
	Values   []Subject
	Abnormal map[AnomalyType][]Subject
	Prompt   string
}

// keptOfCandidate bounds the anomalies and the digests of one candidate in a snapshot: the latest. Anomalies beyond it are in the store, and
// will not name the incident if a crash comes before it is one.
const keptOfCandidate = 32

// Snapshot implements Snapshotter.
func (c candidates) Snapshot(w io.Writer) error {
	out := []candidate{}
	for _, x := range c.sorted() {
		if x.opened {
			continue
		}
		s := candidate{
			Incident: x.incident, Windowed: x.windowed, Ready: x.ready, Traces: x.order, Changes: x.changes,
			Pending: x.pending[max(0, len(x.pending)-keptOfCandidate):], Example: x.example, Near: x.nearest, Known: x.known,
		}
		for _, id := range x.order[max(0, len(x.order)-keptOfCandidate):] {
			if d, ok := c.digests.byTrace[id]; ok {
				s.Digests = append(s.Digests, d.written())
			}
		}
		out = append(out, s)
	}
	return gob.NewEncoder(w).Encode(out)
}

// Restore implements Snapshotter.
func (c candidates) Restore(r io.Reader) error {
	var in []candidate
	if err := gob.NewDecoder(r).Decode(&in); err != nil {
		return err
	}
	for _, s := range in[:min(len(in), c.cfg.MaxActive)] {
		x := c.newGroup(s.Incident.Fingerprint)
		x.incident, x.windowed, x.ready, x.pending = s.Incident, s.Windowed, s.Ready, s.Pending
		if x.incident.Services == nil {
			x.incident.Services = []string{} // gob leaves out what is empty
		}
		x.example, x.nearest, x.known = s.Example, s.Near, s.Known
		for key, change := range s.Changes {
			x.changes[key] = change
		}
		for _, id := range s.Traces {
			c.addTrace(x, id)
		}
		for _, d := range s.Digests {
			if _, have := c.digests.byTrace[d.ID]; !have {
				c.digests.add(d.Service, d.digest())
			}
		}
	}
	return nil
}

func (d *digest) written() writtenDigest {
	out := writtenDigest{ID: d.id, At: d.at, Lead: d.lead, Duration: d.duration, Values: subjects(d.values), Prompt: d.prompt}
	for _, s := range out.Values {
		if s.Kind == SubjectService {
			out.Service = s.Value
			break
		}
	}
	for kind, values := range d.abnormal {
		if out.Abnormal == nil {
			out.Abnormal = make(map[AnomalyType][]Subject)
		}
		out.Abnormal[kind] = subjects(values)
	}
	return out
}

func (d *writtenDigest) digest() *digest {
	out := &digest{id: d.ID, at: d.At, lead: d.Lead, duration: d.Duration, values: interned(d.Values), prompt: d.Prompt}
	for kind, values := range d.Abnormal {
		if out.abnormal == nil {
			out.abnormal = make(map[AnomalyType][]value)
		}
		out.abnormal[kind] = interned(values)
	}
	return out
}

func subjects(values []value) []Subject {
	out := make([]Subject, len(values))
	for i, v := range values {
		out[i] = v.Value()
	}
	return out
}

func interned(subjects []Subject) []value {
	out := make([]value, len(subjects))
	for i, s := range subjects {
		out[i] = unique.Make(s)
	}
	return out
}
