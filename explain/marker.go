package explain

import (
	"slices"
	"strings"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// announcedBy is the index of the latest marker that names the subject and came no later than the onset, -1 when there is none.
func announcedBy(in engine.Incident, markers []engine.ChangeMarker, s engine.Subject, onset time.Time) int {
	best := -1
	for i, m := range markers {
		if !names(in, m, s) || m.At.After(onset.Add(clockSlack)) {
			continue
		}
		if best < 0 || m.At.After(markers[best].At) {
			best = i
		}
	}
	return best
}

// names reports whether the marker is about the subject: its version, or for a change of configuration its service.
func names(in engine.Incident, m engine.ChangeMarker, s engine.Subject) bool {
	released := m.Kind == engine.MarkerDeployment || m.Kind == engine.MarkerRollback
	switch s.Kind {
	case engine.SubjectModelVersion:
		return (m.Kind == engine.MarkerModelVersion || backTo(m)) && isVersion(m, s.Value)
	case engine.SubjectPromptVersion:
		return (m.Kind == engine.MarkerPromptVersion || backTo(m)) && isVersion(m, s.Value)
	case engine.SubjectAgentVersion:
		if m.Subject == "" { // a release of the service that the agent is part of
			return released && affects(m, in) && m.Version != "" && strings.HasSuffix(s.Value, "@"+m.Version)
		}
		return released && isVersion(m, s.Value)
	case engine.SubjectServiceVersion:
		return released && affects(m, in) && (isVersion(m, s.Value) || m.Version != "" && s.Value == m.Service+"@"+m.Version)
	case engine.SubjectService:
		return m.Kind == engine.MarkerConfiguration && m.Service == s.Value
	}
	return false
}

// backTo reports whether the marker is the rollback of something by name, such as a model.
func backTo(m engine.ChangeMarker) bool { return m.Kind == engine.MarkerRollback && m.Subject != "" }

func affects(m engine.ChangeMarker, in engine.Incident) bool {
	return m.Service == "" || len(in.Services) == 0 || slices.Contains(in.Services, m.Service)
}

// isVersion reports whether the value is the marker's version, bare or behind the name of what changed.
func isVersion(m engine.ChangeMarker, value string) bool {
	if m.Version == "" {
		return false
	}
	for _, name := range []string{m.Version, m.Subject + "-" + m.Version, m.Subject + "@" + m.Version, m.Subject + ":" + m.Version} {
		if strings.EqualFold(name, value) {
			return true
		}
	}
	return false
}

// sliceOf is the index of the slice that shows what the marker changed, -1 when the evidence has none.
func sliceOf(in engine.Incident, m engine.ChangeMarker, all []engine.Slice) int {
	return slices.IndexFunc(all, func(s engine.Slice) bool { return names(in, m, s.Subject) })
}
