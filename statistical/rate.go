package statistical

import (
	"math"
	"time"
)

const (
	hours = 24

	// profileMemory is how many half-lives of the level make one of the daily profile, which needs several days to be
	// told from chance.
	profileMemory = 7

	priorDispersion = 0.02 // of priorWindows windows that are believed to have been seen
	minDispersion   = 1e-3
	maxDispersion   = 10
	minFactor       = 0.02
	maxFactor       = hours // all of a day's events in one hour
	maxLevel        = 1e15

	// clipAt is how many standard deviations of a surprise are learned from.
	clipAt = 4
)

// RateConfig says how a Rate learns. A field that is not positive takes its default.
type RateConfig struct {
	Window     time.Duration // length of a window
	HalfLife   time.Duration // event time after which a window weighs half in the level; use a day or more
	MinWindows int           // number of windows below which the rate is still learning
}

// DefaultRateConfig returns windows of a minute, a half-life of a day, and 30 windows.
func DefaultRateConfig() RateConfig {
	return RateConfig{Window: time.Minute, HalfLife: 24 * time.Hour, MinWindows: 30}
}

func (c RateConfig) withDefaults() RateConfig {
	def := DefaultRateConfig()
	if c.Window <= 0 {
		c.Window = def.Window
	}
	if c.HalfLife <= 0 {
		c.HalfLife = def.HalfLife
	}
	if c.MinWindows <= 0 {
		c.MinWindows = def.MinWindows
	}
	return c
}

// Rate learns how many events a window of fixed length brings. The caller adds every window, those without an event
// too.
//
// The expectation is a level times a factor for the hour of the day (UTC), interpolated between the middles of hours.
// The level is a ratio of decayed sums, counts over factors. The factors are shrunk towards 1 by empirical Bayes (Efron
// and Morris, JASA 1975): as long as the hours differ by no more than chance explains, there is no rhythm. Around the
// expectation counts are negative binomial, with a dispersion estimated by moments from one-step-ahead errors. Once it
// has learned, a count is clipped to within four standard deviations before it teaches, so that an incident moves the
// baseline slowly.
type Rate struct {
	cfg   RateConfig
	clock clock
	seen  uint64

	count, factor, windows float64 // decayed sums over windows: counts, factors, 1
	excess, squares        float64 // of squared errors beyond the Poisson's, and of squared expectations
	hour                   [hours]hourProfile
}

// hourProfile holds decayed sums over the windows of one hour of the day.
type hourProfile struct {
	count, level float64 // counts, and the level at the time
	days         float64 // how much of the hour was seen, in days
}

// NewRate returns a Rate that has seen nothing.
func NewRate(cfg RateConfig) *Rate { return &Rate{cfg: cfg.withDefaults()} }

// Add learns the count of the window that starts at windowStart. A negative count is ignored.
func (r *Rate) Add(windowStart time.Time, count int) {
	if count < 0 {
		return
	}
	middle := r.middle(windowStart)
	factor, y := r.factorAt(middle), float64(count)
	mean, dispersion := r.level()*factor, r.dispersion()
	if !r.Learning() {
		expected := r.atLeastSeen(mean)
		y = min(y, expected+clipAt*math.Sqrt(expected+dispersion*expected*expected)+1)
		y = max(y, mean-clipAt*math.Sqrt(mean+dispersion*mean*mean))
	}

	age, late := r.clock.observe(windowStart, r.cfg.HalfLife, 1)
	r.fade(age)
	weight := math.Exp2(-late)
	if r.seen > 0 {
		r.excess += weight * ((y-mean)*(y-mean) - mean)
		r.squares += weight * mean * mean
	}
	r.count += weight * y
	r.factor += weight * factor
	r.windows += weight
	r.seen++

	profile := &r.hour[int(middle/3600)%hours]
	profile.count += weight * y
	profile.level += weight * r.level()
	profile.days += weight * min(1, r.cfg.Window.Hours())
}

// fade ages all sums by a number of half-lives.
func (r *Rate) fade(age float64) {
	if age == 0 {
		return
	}
	shrink := math.Exp2(-age)
	for _, sum := range []*float64{&r.count, &r.factor, &r.windows, &r.excess, &r.squares} {
		*sum *= shrink
	}
	shrink = math.Exp2(-age / profileMemory)
	for h := range r.hour {
		r.hour[h].count *= shrink
		r.hour[h].level *= shrink
		r.hour[h].days *= shrink
	}
}

// middle is the second of the day (UTC) at which the window has its middle.
func (r *Rate) middle(windowStart time.Time) float64 {
	seconds := (windowStart.Unix()%86400 + 86400) % 86400
	return math.Mod(float64(seconds)+r.cfg.Window.Seconds()/2, 86400)
}

// level is the count of a window at a time of day with factor 1.
func (r *Rate) level() float64 {
	if r.factor <= 0 {
		return 0
	}
	return min(r.count/r.factor, maxLevel)
}

// dispersion is the negative binomial's, shrunk towards its prior while windows are few.
func (r *Rate) dispersion() float64 {
	level := r.level()
	prior := priorWindows * level * level
	if prior+r.squares <= 0 {
		return priorDispersion
	}
	return clamp((r.excess+priorDispersion*prior)/(r.squares+prior), minDispersion, maxDispersion)
}

// factorAt is the factor at a second of the day.
func (r *Rate) factorAt(second float64) float64 {
	between := r.variationBetweenHours()
	at := second/3600 - 0.5 + hours
	before, share := int(at), at-math.Floor(at)
	return (1-share)*r.hourFactor(before%hours, between) + share*r.hourFactor((before+1)%hours, between)
}

// hourFactor is the factor of an hour: its ratio to the level, shrunk towards 1 by how much of the hours' variation is
// chance.
func (r *Rate) hourFactor(h int, between float64) float64 {
	ratio, chance, ok := r.hourRatio(h)
	if !ok || between <= 0 {
		return 1
	}
	return clamp(1+(ratio-1)*between/(between+chance), minFactor, maxFactor)
}

// hourRatio is the ratio of an hour's counts to the level, and the variance that it has by chance. The dispersion is
// taken to be shared by the windows of an hour, since a busy hour is busy throughout.
func (r *Rate) hourRatio(h int) (ratio, chance float64, ok bool) {
	profile, level := &r.hour[h], r.level()
	if profile.level <= 0 || level <= 0 || profile.days <= 0 {
		return 0, 0, false
	}
	windows := profile.days * max(1, 1/r.cfg.Window.Hours())
	return profile.count / profile.level, 1/(level*windows) + r.dispersion()/profile.days, true
}

// variationBetweenHours is the variance of the hours' ratios beyond chance. Hours that were hardly seen are left out.
func (r *Rate) variationBetweenHours() float64 {
	var n, sum, squares, chances float64
	for h := range r.hour {
		if r.hour[h].days < 0.5 {
			continue
		}
		if ratio, chance, ok := r.hourRatio(h); ok {
			n++
			sum += ratio
			squares += ratio * ratio
			chances += chance
		}
	}
	if n < 3 {
		return 0
	}
	mean := sum / n
	return clamp((squares-n*mean*mean)/(n-1)-chances/n, 0, hours*hours)
}

// Expected returns the expected count of the window that starts at windowStart; 0 when nothing was learned.
func (r *Rate) Expected(windowStart time.Time) float64 {
	return r.level() * r.factorAt(r.middle(windowStart))
}

// Learning reports whether too few windows were seen for the p-values to be acted on.
func (r *Rate) Learning() bool { return r.seen < uint64(r.cfg.MinWindows) }

// atLeastSeen keeps an expectation from being smaller than half an event in all that was seen.
func (r *Rate) atLeastSeen(mean float64) float64 { return max(mean, 0.5/(r.windows+1)) }

// predictive returns mean and dispersion of a new window's count, which the uncertainty of the level widens.
func (r *Rate) predictive(windowStart time.Time) (mean, dispersion float64) {
	mean, dispersion = r.atLeastSeen(r.Expected(windowStart)), r.dispersion()
	return mean, dispersion + 1/(r.count+0.5) + dispersion/max(r.windows, 1)
}

// UpperP returns P(K >= count) for the count K of the window that starts at windowStart; 1 when nothing was learned.
func (r *Rate) UpperP(windowStart time.Time, count int) float64 {
	if r.seen == 0 {
		return 1
	}
	mean, dispersion := r.predictive(windowStart)
	return negativeBinomialUpperP(float64(count), mean, dispersion)
}

// LowerP returns P(K <= count) in the same way.
func (r *Rate) LowerP(windowStart time.Time, count int) float64 {
	if r.seen == 0 || count < 0 {
		return 1
	}
	mean, dispersion := r.predictive(windowStart)
	return negativeBinomialLowerP(float64(count), mean, dispersion)
}

// MarshalBinary returns a snapshot of what was learned.
func (r *Rate) MarshalBinary() ([]byte, error) {
	e := newEncoder(kindRate, 64+hours*24)
	r.clock.encode(e)
	e.uint64(r.seen)
	for _, v := range []float64{r.count, r.factor, r.windows, r.excess, r.squares} {
		e.float(v)
	}
	for _, h := range r.hour {
		e.float(h.count)
		e.float(h.level)
		e.float(h.days)
	}
	return e.buf, nil
}

// UnmarshalBinary replaces what was learned by a snapshot. On an error nothing changes.
func (r *Rate) UnmarshalBinary(data []byte) error {
	restored := Rate{cfg: r.cfg.withDefaults()}
	d := newDecoder(kindRate, data)
	restored.clock.decode(d)
	restored.seen = d.uint64()
	restored.count, restored.factor, restored.windows = d.sum(), d.sum(), d.sum()
	restored.excess, restored.squares = d.floatIn(-maxWeight, maxWeight), d.sum()
	for h := range restored.hour {
		restored.hour[h] = hourProfile{count: d.sum(), level: d.sum(), days: d.sum()}
	}
	if restored.count > 0 && restored.factor < minFactor*restored.windows*(1-1e-9) {
		d.fail("factors of %v windows add up to %v", restored.windows, restored.factor)
	}
	if err := d.finish("rate"); err != nil {
		return err
	}
	*r = restored
	return nil
}
