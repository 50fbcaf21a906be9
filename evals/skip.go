package evals

import (
	"log/slog"
	"maps"
	"slices"
	"unicode/utf8"
)

// Bounds on what is kept and logged of malformed lines: one wrong field makes every line of a file malformed.
const (
	maxListed = 100 // lines a suite
	maxLogged = 10  // lines a suite
	maxReason = 300 // bytes of a reason, which may quote the line
)

// Skipped is a malformed line that was left out.
type Skipped struct {
	Suite  string `json:"suite"`
	File   string `json:"file"`
	Line   int    `json:"line"`
	Reason string `json:"reason"`
}

// skips keeps the malformed lines of a run, in the order in which suites met them.
type skips struct {
	counts map[string]int // by suite: all of them
	listed []Skipped      // the first of each suite
}

func (s *skips) add(log *slog.Logger, one Skipped) {
	if len(one.Reason) > maxReason {
		end := maxReason
		for !utf8.RuneStart(one.Reason[end]) {
			end--
		}
		one.Reason = one.Reason[:end] + "…"
	}
	s.counts[one.Suite]++
	if s.counts[one.Suite] <= maxListed {
		s.listed = append(s.listed, one)
	}
	if s.counts[one.Suite] <= maxLogged {
		log.Warn("malformed line skipped", "suite", one.Suite, "file", one.File, "line", one.Line, "reason", one.Reason)
	}
}

// summarise logs how many there were where not each was logged.
func (s *skips) summarise(log *slog.Logger) {
	for _, suite := range slices.Sorted(maps.Keys(s.counts)) {
		if n := s.counts[suite]; n > maxLogged {
			log.Warn("malformed lines skipped", "suite", suite, "lines", n, "logged", maxLogged)
		}
	}
}
