package statistical

import (
	"math"
	"slices"
)

// NoveltyAlarm is the surprise from which a Novelty takes a point for an alarm, and so keeps quieter for a while. A threshold
// near it is what the detector is made for.
const NoveltyAlarm = 1.8

// How often calm series surprise: a share of noveltyAlarms of all points by NoveltyAlarm or more, and by the power law below of others.
const (
	noveltyAlarms = 0.003
	noveltyPower  = 2.2
)

// NoveltyP returns how often a calm series is as surprising, in (0, 1]. It is no more than a power of the surprise, though the surprise
// counts in decades, since where a series has heavy tails or a rhythm of weeks the extrapolation behind it runs far ahead of what is seen. The
// two constants enclose simulated counts, proportions, medians and sums of heavy-tailed costs under rhythms of days and weeks, from their third day
// of 5 minutes to their 139th.
func NoveltyP(surprise float64) float64 {
	return clampP(noveltyAlarms * math.Pow(max(surprise, 0)/NoveltyAlarm, -noveltyPower))
}

const (
	noveltyNumbers   = 512    // that each view of numbers remembers
	noveltyPatterns  = 256    // that are remembered
	noveltyCalm      = 100    // distances that a view needs before it says anything
	noveltyKeep      = 0.7    // quantile of its distances above which an item is remembered
	noveltyTail      = 0.98   // quantile of its distances above which their tail is extrapolated
	noveltyHandicap  = 0.5    // decades taken off the surprise of every view but the value
	noveltyAge       = 1.2    // decades taken off for each decade of age
	noveltyAgeOne    = 1000.0 // points at which nothing is taken off
	noveltyYoung     = 500.0  // age that younger streams count as
	noveltyHush      = 20     // points after an alarm that have no surprise,
	noveltyBeyond    = 4.0    // unless theirs is by as many decades above the alarm's
	noveltyRise      = 0.35   // decades by which an alarm raises what the next one takes
	noveltyHalfLife  = 200.0  // points in which that halves
	noveltyMagnitude = 1e30   // values beyond are cut, so that no distance overflows
)

// Shapes of the views, in points.
const (
	levelOver     = 24
	spreadOver    = 4
	driftOver     = 4
	driftAgainst  = 144
	patternPoints = 8
	patternStride = 3
	patternSpan   = (patternPoints-1)*patternStride + 1
	longestView   = driftAgainst
)

// noveltyDecay is what is left of the rise after one point.
var noveltyDecay = math.Exp2(-1 / noveltyHalfLife)

// Novelty finds points of a series that are unlike everything in it before, without a model of what the series is like. It sees each
// point once, looks neither ahead nor at a clock, and does not depend on units, but that differences below 1e-12 count as none.
//
// Five views of the latest points are each compared to what they have been before:
//
//   - the value;
//   - the level, the mean of 24;
//   - the spread, the standard deviation of 4;
//   - the drift, the mean of 4 less the mean of 144;
//   - the pattern, 8 values that lie 3 points apart.
//
// A view's distance is that to the nearest item it remembers, absolute for numbers and the sum of absolute differences for patterns. It
// remembers only what was new to it, items farther away than 70 % of all distances were: a nearest neighbour with a condensed memory
// (Hart, "The Condensed Nearest Neighbor Rule", IEEE Transactions on Information Theory 14(3), 1968). In a full memory a number takes the
// place of any other, a pattern that of the oldest.
//
// A distance becomes a surprise, -log10 of the share of all earlier distances that were as large. Above their 98 % quantile the share is
// extrapolated by an exponential tail. That all history counts, also the beginning, when everything was new, is what keeps it from
// speaking too often, since novelty wears off. The largest surprise counts; those of the other views count half a decade less than that
// of the value. For each decade of age, from the 500th point on, 1.2 decades are taken off: where chance alone alarms, it does so about
// as often between the 1,000th and the 10,000th point as between the 10,000th and the 100,000th.
//
// After an alarm, at NoveltyAlarm, the next 20 points have no surprise, unless it is 4 decades above that of the alarm, and another alarm
// takes 0.35 decades more, which halves every 200 points.
//
// It takes at most 28 KiB, so it is meant for the series that are worth it rather than for every one.
type Novelty struct {
	seen    uint64
	latest  [longestView]float64 // a ring; the newest lies before seen % longestView
	numbers [4]numberView        // value, level, spread, drift
	pattern patternView
	alarm   float64 // surprise of the latest alarm
	hush    uint64  // points that are still in its shadow
	rise    float64 // decades
}

// NewNovelty returns a Novelty that has seen nothing.
func NewNovelty() *Novelty {
	n := new(Novelty)
	for i := range n.numbers {
		n.numbers[i].sorted = make([]float32, 0, noveltyNumbers)
	}
	n.pattern.items = make([]pattern, 0, noveltyPatterns)
	return n
}

// Seen is the number of points of all time.
func (n *Novelty) Seen() uint64 { return n.seen }

// Learning reports whether too little was seen for any view to say something.
func (n *Novelty) Learning() bool { return n.numbers[0].distances.total < noveltyCalm }

// Next returns how surprising x is after all earlier points, in decades: 0 when it is usual, from NoveltyAlarm on an alarm, without an
// upper bound. It then learns x. NaN and infinities are passed over: they are no surprise and change nothing.
func (n *Novelty) Next(x float64) float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return 0
	}
	seen := n.look(x)
	for i := range n.numbers {
		n.numbers[i].learn(seen.numbers[i])
	}
	n.pattern.learn(seen.pattern, &seen.shape)
	return n.settle(seen.surprise)
}

// Judge returns what Next would, and changes nothing.
func (n *Novelty) Judge(x float64) float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return 0
	}
	as := *n // looking writes to the ring alone, which is copied, and settling to three numbers
	return as.settle(as.look(x).surprise)
}

// sight is what the views make of a point.
type sight struct {
	numbers  [4]look
	pattern  look
	shape    pattern
	surprise float64 // before what earlier alarms take off
}

// look puts x at the end of the latest points and says how surprising it is. The views do not learn it yet.
func (n *Novelty) look(x float64) sight {
	n.latest[n.seen%longestView] = clamp(x, -noveltyMagnitude, noveltyMagnitude)
	n.seen++

	var s sight
	s.numbers[0] = n.numbers[0].look(n.back(0))
	if n.seen >= levelOver {
		s.numbers[1] = n.numbers[1].look(n.mean(levelOver))
	}
	if n.seen >= spreadOver {
		s.numbers[2] = n.numbers[2].look(n.deviation(spreadOver))
	}
	if n.seen >= driftAgainst {
		s.numbers[3] = n.numbers[3].look(n.mean(driftOver) - n.mean(driftAgainst))
	}
	if n.seen >= patternSpan {
		for k := range s.shape {
			s.shape[k] = float32(n.back(uint64(k * patternStride)))
		}
		s.pattern = n.pattern.look(&s.shape)
	}
	others := s.pattern.surprise
	for _, l := range s.numbers[1:] {
		others = max(others, l.surprise)
	}
	age := max(float64(n.seen), noveltyYoung) / noveltyAgeOne
	s.surprise = max(s.numbers[0].surprise, others-noveltyHandicap) - noveltyAge*math.Log10(age)
	return s
}

// settle takes off what earlier alarms take off, and notes whether this is one.
func (n *Novelty) settle(surprise float64) float64 {
	surprise = clamp(surprise-n.rise, 0, math.MaxFloat64)
	if n.hush > 0 {
		n.hush--
		if surprise < n.alarm+noveltyBeyond {
			surprise = 0
		}
	}
	if surprise >= NoveltyAlarm {
		n.alarm, n.hush = surprise, noveltyHush
		n.rise += noveltyRise
	}
	n.rise *= noveltyDecay
	return surprise
}

// back is the value k points ago.
func (n *Novelty) back(k uint64) float64 { return n.latest[(n.seen-1-k)%longestView] }

// mean is that of the latest points.
func (n *Novelty) mean(points uint64) float64 {
	total := 0.0
	for k := range points {
		total += n.back(k)
	}
	return total / float64(points)
}

// deviation is the standard deviation of the latest points.
func (n *Novelty) deviation(points uint64) float64 {
	mean, squares := n.mean(points), 0.0
	for k := range points {
		d := n.back(k) - mean
		squares += d * d
	}
	return math.Sqrt(squares / float64(points))
}

// history is the distribution of all distances of a view.
type history struct{ sketch }

// judge returns the surprise of a distance, and whether it is large enough for its item to be remembered.
func (h *history) judge(distance float64) (surprise float64, novel bool) {
	if h.total == 0 {
		return 0, distance > 0
	}
	target, _ := h.bucket(distance)
	zero, _ := h.bucket(0)
	tail := math.Floor((1-noveltyTail)*h.total) + 1
	keep := math.Floor((1-noveltyKeep)*h.total) + 1

	j, mass, excess, atLeast := len(h.index)-1, 0.0, 0.0, 0.0
	for ; j > 0 && mass+float64(h.weight[j]) < tail; j-- {
		mass += float64(h.weight[j])
	}
	from := h.index[j] // the bucket of the high quantile
	threshold := h.value(j, zero)
	for k := len(h.index) - 1; k > j; k-- {
		excess += float64(h.weight[k]) * (h.value(k, zero) - threshold)
	}
	extrapolate := target > int(from) && excess > 0
	for k := len(h.index) - 1; k >= 0 && int(h.index[k]) >= target; k-- {
		atLeast += float64(h.weight[k])
	}
	for ; j > 0 && mass+float64(h.weight[j]) < keep; j-- {
		mass += float64(h.weight[j])
	}
	novel = distance > h.value(j, zero)

	switch {
	case h.total < noveltyCalm:
		return 0, novel
	case extrapolate:
		mean := excess / tail
		return -math.Log10(1-noveltyTail) + (distance-threshold)/mean*math.Log10E, novel
	default:
		return -math.Log10((atLeast + 1) / (h.total + 1)), novel
	}
}

// value is the middle of the j-th bucket; 0 stands for that of zero, whose index is given.
func (h *history) value(j, zero int) float64 {
	if int(h.index[j]) <= zero {
		return 0
	}
	return math.Exp((float64(h.index[j]) - 0.5) * h.width())
}

// look is what a view makes of an item. One that has nothing to be compared to is novel and has no distance.
type look struct {
	number   float32
	at       int // where a number belongs, or where the nearest pattern is
	distance float64
	measured bool // whether there is a distance
	surprise float64
	novel    bool // to be remembered
}

// numberView compares numbers.
type numberView struct {
	distances history
	sorted    []float32 // at most noveltyNumbers
	random    uint64    // state of the choice of what makes room
}

func (v *numberView) look(x float64) look {
	l := look{number: float32(x)}
	l.at, _ = slices.BinarySearch(v.sorted, l.number)
	if l.measured = len(v.sorted) > 0; !l.measured {
		l.novel = true
		return l
	}
	l.distance = math.Inf(1)
	if l.at < len(v.sorted) {
		l.distance = float64(v.sorted[l.at]) - float64(l.number)
	}
	if l.at > 0 {
		l.distance = min(l.distance, float64(l.number)-float64(v.sorted[l.at-1]))
	}
	l.surprise, l.novel = v.distances.judge(l.distance)
	return l
}

func (v *numberView) learn(l look) {
	if l.measured {
		v.distances.add(l.distance, 1, 1)
	}
	if !l.novel {
		return
	}
	if len(v.sorted) == noveltyNumbers {
		v.random = v.random*6364136223846793005 + 1442695040888963407 // Knuth's linear congruential generator
		i := int(v.random >> 33 % noveltyNumbers)
		v.sorted = slices.Delete(v.sorted, i, i+1)
		if i < l.at {
			l.at--
		}
	}
	v.sorted = slices.Insert(v.sorted, l.at, l.number)
}

// pattern is some of the latest values, the newest first.
type pattern [patternPoints]float32

// patternView compares patterns.
type patternView struct {
	distances history
	items     []pattern // a ring once it is full
	oldest    int
	nearest   int // where the nearest item was; the one behind it is likely to be the next
}

func (v *patternView) look(p *pattern) look {
	l := look{at: v.nearest}
	if l.measured = len(v.items) > 0; !l.measured {
		l.novel = true
		return l
	}
	best := float32(math.Inf(1))
	expected := (v.nearest + 1) % len(v.items)
	for k := range v.items {
		i := expected + k
		if i >= len(v.items) {
			i -= len(v.items)
		}
		if d := distanceBelow(best, p, &v.items[i]); d < best {
			best, l.at = d, i
		}
	}
	l.distance = float64(best)
	l.surprise, l.novel = v.distances.judge(l.distance)
	return l
}

func (v *patternView) learn(l look, p *pattern) {
	v.nearest = l.at
	if l.measured {
		v.distances.add(l.distance, 1, 1)
	}
	switch {
	case !l.novel:
	case len(v.items) < noveltyPatterns:
		v.items = append(v.items, *p)
	default:
		v.items[v.oldest] = *p
		v.oldest = (v.oldest + 1) % noveltyPatterns
	}
}

// distanceBelow is the sum of absolute differences, or any sum of some of them that has reached the limit.
func distanceBelow(limit float32, a, b *pattern) float32 {
	half := apart(a[0], b[0]) + apart(a[1], b[1]) + apart(a[2], b[2]) + apart(a[3], b[3])
	if half >= limit {
		return half
	}
	return half + apart(a[4], b[4]) + apart(a[5], b[5]) + apart(a[6], b[6]) + apart(a[7], b[7])
}

func apart(x, y float32) float32 { return max(x-y, y-x) }

const (
	kindNovelty      = 'N'
	maxNoveltyPoints = 1 << 53 // counts stay exact as float64
)

// MarshalBinary returns a snapshot of what was learned.
func (n *Novelty) MarshalBinary() ([]byte, error) {
	e := newEncoder(kindNovelty, 8192+4*noveltyNumbers*len(n.numbers)+4*patternPoints*noveltyPatterns)
	e.uint64(n.seen)
	e.float(n.alarm)
	e.uint64(n.hush)
	e.float(n.rise)
	for _, x := range n.latest {
		e.float(x)
	}
	for i := range n.numbers {
		v := &n.numbers[i]
		v.distances.encode(e)
		e.uint64(v.random)
		e.uint16(uint16(len(v.sorted)))
		for _, x := range v.sorted {
			e.uint32(math.Float32bits(x))
		}
	}
	n.pattern.distances.encode(e)
	e.uint16(uint16(n.pattern.oldest))
	e.uint16(uint16(n.pattern.nearest))
	e.uint16(uint16(len(n.pattern.items)))
	for _, p := range n.pattern.items {
		for _, x := range p {
			e.uint32(math.Float32bits(x))
		}
	}
	return e.buf, nil
}

// UnmarshalBinary replaces what was learned by a snapshot. On an error nothing changes.
func (n *Novelty) UnmarshalBinary(data []byte) error {
	restored := NewNovelty()
	d := newDecoder(kindNovelty, data)
	if restored.seen = d.uint64(); restored.seen > maxNoveltyPoints {
		d.fail("%d points", restored.seen)
	}
	restored.alarm = d.floatIn(0, math.MaxFloat64)
	if restored.hush = d.uint64(); restored.hush > noveltyHush {
		d.fail("%d points in the shadow of an alarm", restored.hush)
	}
	restored.rise = d.floatIn(0, noveltyRise/(1-noveltyDecay))
	for i := range restored.latest {
		restored.latest[i] = d.floatIn(-noveltyMagnitude, noveltyMagnitude)
	}
	for i := range restored.numbers {
		v := &restored.numbers[i]
		v.distances.decode(d)
		v.random = d.uint64()
		for range d.length(int(d.uint16()), noveltyNumbers, 4) {
			v.sorted = append(v.sorted, d.number())
		}
		if !slices.IsSorted(v.sorted) {
			d.fail("memory out of order")
		}
	}
	v := &restored.pattern
	v.distances.decode(d)
	v.oldest, v.nearest = int(d.uint16()), int(d.uint16())
	for range d.length(int(d.uint16()), noveltyPatterns, 4*patternPoints) {
		var p pattern
		for k := range p {
			p[k] = d.number()
		}
		v.items = append(v.items, p)
	}
	if v.oldest >= noveltyPatterns || v.nearest >= noveltyPatterns || (v.oldest > 0 && len(v.items) < noveltyPatterns) {
		d.fail("places %d and %d in a memory of %d", v.oldest, v.nearest, len(v.items))
	}
	if err := d.finish("novelty"); err != nil {
		return err
	}
	*n = *restored
	return nil
}

// number reads what a view remembers. A drift may be twice as large as a value.
func (d *decoder) number() float32 {
	x := math.Float32frombits(d.uint32())
	if d.err == nil && !(math.Abs(float64(x)) <= 3*noveltyMagnitude) {
		d.fail("number %v is out of range", x)
	}
	if d.err != nil {
		return 0
	}
	return x
}
