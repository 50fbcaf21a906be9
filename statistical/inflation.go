package statistical

import (
	"math"
	"time"
)

// Inflation corrects p-values that come out small too often because observations depend on each other. It is genomic control
// (Devlin and Roeder, Biometrics 1999) at the upper tail: where the 95 % quantile of -log p of calm windows lies above what
// uniform p-values have, every -log p is divided by that factor. P-values that are too large are left alone.
type Inflation struct{ logs *Quantity }

// inflationCount is how many calm p-values a correction needs.
const inflationCount = 100

// uniformLog95 is the 95 % quantile of -log p under uniform p-values.
var uniformLog95 = -math.Log(0.05)

// NewInflation returns an Inflation that has seen nothing and forgets with a half-life in event time.
func NewInflation(halfLife time.Duration) *Inflation {
	return &Inflation{NewQuantity(QuantityConfig{HalfLife: halfLife, MinCount: inflationCount})}
}

// Add takes in the uncorrected p-value of a calm window.
func (i *Inflation) Add(t time.Time, p float64) { i.logs.Add(t, -math.Log(clampP(p))) }

// Factor is what -log p is divided by, 1 or more; 1 while too little was seen.
func (i *Inflation) Factor() float64 {
	if i.logs.Learning() {
		return 1
	}
	return max(1, i.logs.Quantile(0.95)/uniformLog95)
}

// Correct returns the corrected p-value, in (0, 1].
func (i *Inflation) Correct(p float64) float64 { return clampP(math.Pow(clampP(p), 1/i.Factor())) }

// MarshalBinary returns a snapshot of what was seen.
func (i *Inflation) MarshalBinary() ([]byte, error) { return i.logs.MarshalBinary() }

// UnmarshalBinary restores a snapshot into an Inflation made by NewInflation. On an error the state is as it was.
func (i *Inflation) UnmarshalBinary(data []byte) error { return i.logs.UnmarshalBinary(data) }
