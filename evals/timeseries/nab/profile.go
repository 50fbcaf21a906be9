package nab

import "math"

// Profile says what an application gains by a detection and loses by errors.
type Profile struct {
	Name string
	TP   float64 // gain of a window found in its first row
	FP   float64 // cost of a false detection far from any window
	FN   float64 // cost of a window missed
}

// Profiles are the benchmark's three: standard, reward of few false positives, reward of few false negatives.
func Profiles() []Profile {
	return []Profile{
		{Name: "standard", TP: 1, FP: 0.11, FN: 1},
		{Name: "low_fp", TP: 1, FP: 0.22, FN: 1},
		{Name: "low_fn", TP: 1, FP: 0.11, FN: 2},
	}
}

// Tally is what detections at one threshold came to. Tallies of series add up.
type Tally struct {
	Found   float64 // rewards of the windows found, each in (0, 1]
	False   float64 // costs of the false detections, each in (0, 1]
	Windows int
	Missed  int // windows without a detection
	Alarms  int // rows outside of windows that were detected
}

// Plus is the tally of both.
func (t Tally) Plus(u Tally) Tally {
	return Tally{
		Found: t.Found + u.Found, False: t.False + u.False,
		Windows: t.Windows + u.Windows, Missed: t.Missed + u.Missed, Alarms: t.Alarms + u.Alarms,
	}
}

// Above is by how much a tally is worth more to the profile than missing every window without a false detection.
func (p Profile) Above(t Tally) float64 {
	return p.TP*t.Found - p.FP*t.False + p.FN*float64(t.Windows-t.Missed)
}

// Score is 100 × (raw - null) / (perfect - null), at most 100, for the value Above of some tallies and their number of windows. It is
// NaN without a window.
func (p Profile) Score(above float64, windows int) float64 {
	if windows == 0 {
		return math.NaN()
	}
	return 100 * above / ((p.TP + p.FN) * float64(windows))
}
