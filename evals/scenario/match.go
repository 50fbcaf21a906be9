package scenario

import (
	"fmt"
	"slices"
	"time"
)

// Found is an incident that an engine reports.
type Found struct {
	ID           string    `json:"id"`
	Type         string    `json:"type"`
	Subject      string    `json:"subject"`
	CauseKind    string    `json:"cause_kind"`    // of its first hypothesis
	CauseSubject string    `json:"cause_subject"` // of its first hypothesis
	Start        time.Time `json:"start"`
	End          time.Time `json:"end"` // zero while the incident is open
}

// Pair is an incident that was found: its truth and the report that met it.
type Pair struct {
	Truth        Truth `json:"truth"`
	Found        Found `json:"found"`
	CauseCorrect bool  `json:"cause_correct"`
}

// Outcome is the comparison of what was found with the truth.
type Outcome struct {
	Injected      int     `json:"injected"`
	Found         int     `json:"found"`
	False         int     `json:"false"`
	CausesCorrect int     `json:"causes_correct"`
	Missed        []Truth `json:"missed"`
	Matches       []Pair  `json:"matches"`
	FalseOnes     []Found `json:"false_ones"`
}

// Match pairs truths and found incidents one to one. A truth is found when type and subject agree and the found interval
// overlaps the true one, whose end is put off by slack. Of several candidates the one that starts first counts;
// everything that is left over, duplicates too, is false. A cause is correct when kind and subject agree.
func Match(truths []Truth, found []Found, slack time.Duration) Outcome {
	byOnset := slices.Clone(truths)
	slices.SortStableFunc(byOnset, func(a, b Truth) int { return a.Onset.Compare(b.Onset) })
	byStart := slices.Clone(found)
	slices.SortStableFunc(byStart, func(a, b Found) int { return a.Start.Compare(b.Start) })

	out := Outcome{Injected: len(truths)}
	taken := make([]bool, len(byStart))
	for _, t := range byOnset {
		i := 0
		for i < len(byStart) && (taken[i] || !byStart[i].agrees(t, slack)) {
			i++
		}
		if i == len(byStart) {
			out.Missed = append(out.Missed, t)
			continue
		}
		taken[i] = true
		pair := Pair{Truth: t, Found: byStart[i]}
		pair.CauseCorrect = t.Cause == Cause{Kind: pair.Found.CauseKind, Subject: pair.Found.CauseSubject}
		if pair.CauseCorrect {
			out.CausesCorrect++
		}
		out.Matches = append(out.Matches, pair)
	}
	for i, f := range byStart {
		if !taken[i] {
			out.FalseOnes = append(out.FalseOnes, f)
		}
	}
	out.Found, out.False = len(out.Matches), len(out.FalseOnes)
	return out
}

func (f Found) agrees(t Truth, slack time.Duration) bool {
	if f.Type != t.Type || f.Subject != t.Subject {
		return false
	}
	endsInTime := f.End.IsZero() || !f.End.Before(t.Onset)
	return endsInTime && !f.Start.After(t.End.Add(slack))
}

// Summary is the outcome as one line of JSON.
func (o Outcome) Summary() string {
	return fmt.Sprintf(`{"injected":%d,"found":%d,"false":%d,"causes_correct":%d}`,
		o.Injected, o.Found, o.False, o.CausesCorrect)
}
