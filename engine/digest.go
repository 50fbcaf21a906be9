package engine

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"
	"unique"
)

// value is a subject as digests hold it: interned, so that a million digests share their strings.
type value = unique.Handle[Subject]

// digest is what is kept of a judged trace as raw material for evidence.
type digest struct {
	id       TraceID
	at       time.Time // start of the trace
	lead     SpanID
	duration time.Duration
	values   []value                 // of all its spans
	abnormal map[AnomalyType][]value // of the spans that screening held to be abnormal, by type
	prompt   string                  // redacted excerpt of what the user asked, where the semantic tier looked
	learnt   bool                    // held to be normal
}

// digests keeps, a service, a ring of the latest digests and a reservoir over the calm past. It is guarded by its owner.
type digests struct {
	cfg      EvidenceConfig
	services map[string]*serviceDigests
	byTrace  map[TraceID]*digest
	rng      *rand.Rand
}

type serviceDigests struct {
	recent    []*digest
	next      int
	calm      []*digest
	calmSeen  int
	firstSeen map[value]time.Time // of version-like values, which are few
	used      time.Time
}

func newDigests(cfg EvidenceConfig) *digests {
	return &digests{
		cfg:      cfg,
		services: make(map[string]*serviceDigests),
		byTrace:  make(map[TraceID]*digest),
		rng:      rand.New(rand.NewPCG(1, 2)), // which calm traces are kept need not differ between runs
	}
}

// add takes the digest of a judged trace into its service's ring.
func (d *digests) add(service string, x *digest) {
	s, ok := d.services[service]
	if !ok {
		if len(d.services) >= d.cfg.MaxServices {
			d.evictService()
		}
		s = &serviceDigests{firstSeen: make(map[value]time.Time)}
		d.services[service] = s
	}
	s.used = x.at
	for _, v := range x.values {
		if !versionLike[v.Value().Kind] {
			continue
		}
		if at, seen := s.firstSeen[v]; !seen && len(s.firstSeen) < maxFirstSeen || seen && x.at.Before(at) {
			s.firstSeen[v] = x.at
		}
	}
	if len(s.recent) < d.cfg.RecentPerService {
		s.recent = append(s.recent, x)
	} else {
		d.retire(s, s.recent[s.next])
		s.recent[s.next] = x
		s.next = (s.next + 1) % len(s.recent)
	}
	d.byTrace[x.id] = x
}

// maxFirstSeen bounds the version-like values whose first sight is remembered, a service.
const maxFirstSeen = 4096

// versionLike are the kinds of subject whose first sight is a change worth naming.
var versionLike = map[string]bool{
	SubjectServiceVersion: true, SubjectModel: true, SubjectModelVersion: true, SubjectAgent: true,
	SubjectAgentVersion: true, SubjectTool: true, SubjectProvider: true, SubjectPromptVersion: true,
}

// retire moves a digest from the ring to the calm reservoir (Vitter's algorithm R), or forgets it.
func (d *digests) retire(s *serviceDigests, x *digest) {
	if !x.learnt {
		delete(d.byTrace, x.id)
		return
	}
	s.calmSeen++
	if len(s.calm) < d.cfg.CalmPerService {
		s.calm = append(s.calm, x)
		return
	}
	// Forget the far past: the reservoir is over the last ten times its size.
	n := min(s.calmSeen, 10*d.cfg.CalmPerService)
	if i := d.rng.IntN(n); i < len(s.calm) {
		delete(d.byTrace, s.calm[i].id)
		s.calm[i] = x
		return
	}
	delete(d.byTrace, x.id)
}

func (d *digests) evictService() {
	var oldest string
	for name, s := range d.services {
		if oldest == "" || s.used.Before(d.services[oldest].used) {
			oldest = name
		}
	}
	for _, x := range slices.Concat(d.services[oldest].recent, d.services[oldest].calm) {
		delete(d.byTrace, x.id)
	}
	delete(d.services, oldest)
}

// during returns the digests of the services with from <= at <= to, and those before from, oldest first.
func (d *digests) during(services []string, from, to time.Time) (during, before []*digest) {
	for _, name := range services {
		s, ok := d.services[name]
		if !ok {
			continue
		}
		for _, x := range slices.Concat(s.calm, s.recent) {
			switch {
			case x.at.Before(from):
				before = append(before, x)
			case !x.at.After(to):
				during = append(during, x)
			}
		}
	}
	byTime := func(a, b *digest) int { return cmp.Or(a.at.Compare(b.at), slices.Compare(a.id[:], b.id[:])) }
	slices.SortFunc(during, byTime)
	slices.SortFunc(before, byTime)
	return during, before
}

func (d *digests) firstSeen(services []string, v value) (time.Time, bool) {
	var first time.Time
	for _, name := range services {
		if s, ok := d.services[name]; ok {
			if at, ok := s.firstSeen[v]; ok && (first.IsZero() || at.Before(first)) {
				first = at
			}
		}
	}
	return first, !first.IsZero()
}

// values lists what can be said of a span as subjects.
func (s *Span) subjects(yield func(kind, v string)) {
	say := func(kind, v string) {
		if v != "" {
			yield(kind, v)
		}
	}
	say(SubjectService, s.Service)
	say(SubjectServiceVersion, versioned(s.Service, s.ServiceVersion))
	say(SubjectProvider, s.Provider)
	say(SubjectModel, s.Model)
	say(SubjectModelVersion, s.ResponseModel)
	say(SubjectAgent, s.Agent.Name)
	say(SubjectAgentVersion, versioned(s.Agent.Name, s.Agent.Version))
	say(SubjectTool, s.Tool.Name)
	say(SubjectUser, s.User)
	say(SubjectTenant, s.Tenant)
	say(SubjectAPIKey, s.APIKey)
	say(SubjectRegion, s.Region)
	say(SubjectErrorType, s.ErrorType)
	say(SubjectPromptVersion, versioned(s.PromptName, s.PromptVersion))
}

func versioned(name, version string) string {
	if version == "" {
		return ""
	}
	return name + "@" + version
}

// newDigest sums up a judged trace. The abnormal values of a type are those of the spans that its finding names.
func newDigest(t *Trace, findings []Finding) *digest {
	lead := t.Lead()
	d := &digest{id: t.ID, at: t.Start(), lead: lead.SpanID, duration: t.End().Sub(t.Start())}
	seen := make(map[Subject]bool, 16) // interning is dearer, and most spans say what an earlier one did
	for i := range t.Spans {
		t.Spans[i].subjects(func(kind, v string) {
			if s := (Subject{kind, v}); !seen[s] {
				seen[s] = true
				d.values = append(d.values, unique.Make(s))
			}
		})
	}
	for _, f := range findings {
		if len(f.Spans) == 0 {
			continue
		}
		var values []value
		for i := range t.Spans {
			if !slices.Contains(f.Spans, t.Spans[i].SpanID) {
				continue
			}
			t.Spans[i].subjects(func(kind, v string) {
				if h := unique.Make(Subject{kind, v}); !slices.Contains(values, h) {
					values = append(values, h)
				}
			})
		}
		if d.abnormal == nil {
			d.abnormal = make(map[AnomalyType][]value)
		}
		d.abnormal[f.Type] = values
	}
	return d
}

func (d *digest) has(v value) bool { return slices.Contains(d.values, v) }
