package notify

import (
	"slices"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// matches reports whether an alert passes.
func (m Match) matches(a engine.Alert) bool {
	return m.severity(a.Incident.Severity) &&
		m.change(a.Change) &&
		anyGlob(m.Types, []string{string(a.Incident.Type)}) &&
		anyGlob(m.Services, a.Incident.Services)
}

// change reports whether a change passes. Single anomalies, of which there are many, pass only where they are asked for.
func (m Match) change(c string) bool {
	if len(m.Changes) == 0 {
		return c != engine.ChangeAnomaly
	}
	return slices.Contains(m.Changes, c)
}

func (m Match) severity(s engine.Severity) bool {
	return (m.MinSeverity == "" || s.Rank() >= m.MinSeverity.Rank()) && (len(m.Severities) == 0 || slices.Contains(m.Severities, s))
}

func anyGlob(patterns, values []string) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool {
		return slices.ContainsFunc(values, func(v string) bool { return glob(p, v, false) })
	})
}

// covers reports whether every alert that passes other passes m.
func (m Match) covers(other Match) bool {
	for _, s := range engine.Severities {
		if other.severity(s) && !m.severity(s) {
			return false
		}
	}
	for _, c := range changes {
		if other.change(c) && !m.change(c) {
			return false
		}
	}
	return coversGlobs(m.Types, other.Types) && coversGlobs(m.Services, other.Services)
}

// coversGlobs reports whether each pattern of others matches nothing that ours do not.
func coversGlobs(ours, others []string) bool {
	if len(ours) == 0 {
		return true
	}
	if len(others) == 0 {
		return slices.Contains(ours, "*")
	}
	for _, other := range others {
		if !slices.ContainsFunc(ours, func(p string) bool { return glob(p, other, true) }) {
			return false
		}
	}
	return true
}

// glob matches a whole text, where * stands for any text and ? for one character. With a pattern in place of the text it
// says whether everything that the text matches is matched by the pattern.
func glob(pattern, text string, textIsPattern bool) bool {
	p, t := []rune(pattern), []rune(text)
	star, after := -1, 0 // the latest * and how much of the text it stands for so far
	i, j := 0, 0
	for j < len(t) {
		switch {
		case i < len(p) && p[i] == '*':
			star, after = i, j
			i++
		case i < len(p) && (p[i] == t[j] || p[i] == '?') && (!textIsPattern || t[j] != '*'):
			i, j = i+1, j+1
		case star >= 0:
			after++
			i, j = star+1, after
		default:
			return false
		}
	}
	for i < len(p) && p[i] == '*' {
		i++
	}
	return i == len(p)
}
