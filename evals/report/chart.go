package report

import (
	"math"
	"strconv"
	"strings"

	"github.com/llm-sentinel/llm-sentinel/evals"
)

// The drawing area of a chart and of a bar, in their own units; the page scales them to the room that there is.
const (
	chartWidth, chartHeight = 460, 300
	chartLeft, chartRight   = 48, 448
	chartTop, chartBottom   = 24, 252
	barWidth                = 176
	barLeft, barRight       = 6, 170
)

const (
	palette     = 8  // colours that the page has
	maxDots     = 25 // points up to which each is marked
	wantedTicks = 5  // of an axis; at most four times as many are shown
)

// chart is a Chart in drawing units.
type chart struct {
	Title, X, Y              string
	Width, Height            int
	Left, Right, Top, Bottom int
	XTicks, YTicks           []tick
	Chance                   bool // the diagonal on which guessing lies
	Curves                   []curve
}

type tick struct {
	At    string
	Label string
}

type curve struct {
	Name  string
	Class string
	Path  string
	Dots  []mark
}

type mark struct {
	X, Y string
	Name string
}

func newChart(c evals.Chart) chart {
	out := chart{
		Title: c.Title, X: c.X, Y: c.Y, Width: chartWidth, Height: chartHeight,
		Left: chartLeft, Right: chartRight, Top: chartTop, Bottom: chartBottom, Chance: isROC(c),
	}
	x, y := nothing(), nothing()
	for _, k := range c.Curves {
		each(k, func(px, py float64, _ bool) { x, y = x.with(px), y.with(py) })
	}
	if x.empty() {
		return out
	}
	var xs, ys []float64
	x, xs = x.axis()
	y, ys = y.axis()
	for _, v := range xs {
		out.XTicks = append(out.XTicks, tick{pixel(x.place(v, chartLeft, chartRight)), label(v, xs)})
	}
	for _, v := range ys {
		out.YTicks = append(out.YTicks, tick{pixel(y.place(v, chartBottom, chartTop)), label(v, ys)})
	}
	for i, k := range c.Curves {
		drawn := curve{Name: k.Name, Class: "c" + strconv.Itoa(i%palette)}
		if i >= palette {
			drawn.Class += " dashed"
		}
		var path strings.Builder
		each(k, func(px, py float64, joined bool) {
			dot := mark{X: pixel(x.place(px, chartLeft, chartRight)), Y: pixel(y.place(py, chartBottom, chartTop))}
			if joined {
				path.WriteString("L")
			} else {
				path.WriteString("M")
			}
			path.WriteString(dot.X + " " + dot.Y)
			if len(k.X) <= maxDots {
				dot.Name = k.Name + ": " + figure(px) + ", " + figure(py)
				drawn.Dots = append(drawn.Dots, dot)
			}
		})
		drawn.Path = path.String()
		out.Curves = append(out.Curves, drawn)
	}
	return out
}

// each calls with the points of a curve that can be drawn, and whether a point is joined to the one before it: one that cannot leaves
// a gap.
func each(c evals.Curve, with func(x, y float64, joined bool)) {
	joined := false
	for i := range min(len(c.X), len(c.Y)) {
		if !drawable(c.X[i]) || !drawable(c.Y[i]) {
			joined = false
			continue
		}
		with(c.X[i], c.Y[i], joined)
		joined = true
	}
}

// drawable leaves out what is no number and what no picture can show beside anything else.
func drawable(x float64) bool { return math.Abs(x) <= 1e100 }

// isROC says whether the axes are those of a receiver operating characteristic.
func isROC(c evals.Chart) bool {
	x, y := strings.ToLower(c.X), strings.ToLower(c.Y)
	return (strings.Contains(x, "false positive") || strings.Contains(x, "fpr")) &&
		(strings.Contains(y, "true positive") || strings.Contains(y, "tpr") || strings.Contains(y, "recall"))
}

// scale is a range of values that is laid out on a line.
type scale struct{ low, high float64 }

func nothing() scale { return scale{math.Inf(1), math.Inf(-1)} }

func (s scale) with(x float64) scale { return scale{min(s.low, x), max(s.high, x)} }

func (s scale) empty() bool { return s.low > s.high }

// place is where a value lies on a line from one drawing unit to another.
func (s scale) place(x, from, to float64) float64 {
	return from + (to-from)*(x/2-s.low/2)/(s.high/2-s.low/2)
}

// axis widens the scale to round values and returns those to be marked. Proportions are shown from 0 to 1, and what is positive
// from 0 on unless that would squeeze it.
func (s scale) axis() (scale, []float64) {
	switch {
	case s.low >= 0 && s.high <= 1 && s.high > 0.5:
		s = scale{0, 1}
	case s.low > 0 && s.low < s.high/2:
		s.low = 0
	}
	if s.low == s.high {
		s = scale{s.low - math.Abs(s.low)/2, s.high + math.Abs(s.high)/2}
	}
	if s.low == s.high {
		s.high = s.low + 1
	}
	step := round((s.high - s.low) / wantedTicks)
	first, last := math.Floor(s.low/step+1e-9), math.Ceil(s.high/step-1e-9)
	if !(last-first <= 4*wantedTicks) { // the values differ by less than their last digits can say
		return s, []float64{s.low, s.high}
	}
	var ticks []float64
	for i := first; i <= last; i++ {
		ticks = append(ticks, i*step)
	}
	return scale{first * step, last * step}, ticks
}

// round is the least of 1, 2, 5 and 10 times a power of ten that is not below x.
func round(x float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(x)))
	for _, m := range []float64{1, 2, 5} {
		if x <= m*power*(1+1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// label prints a tick with the digits that its neighbours need.
func label(x float64, ticks []float64) string {
	step := ticks[len(ticks)-1] - ticks[0]
	if len(ticks) > 1 {
		step = ticks[1] - ticks[0]
	}
	if size := max(math.Abs(ticks[0]), math.Abs(ticks[len(ticks)-1])); size >= 1e6 || size < 1e-3 {
		return strconv.FormatFloat(x, 'g', 3, 64)
	}
	digits := max(0, int(math.Ceil(-math.Log10(step)-1e-9)))
	return strconv.FormatFloat(x, 'f', min(digits, 6), 64)
}

func pixel(x float64) string { return strconv.FormatFloat(x, 'f', 1, 64) }

// bar is a metric on a line: its interval, its value, its baselines and what is required of it.
type bar struct {
	Label              string
	Width, Left, Right int
	Low, Span, Value   string
	Baselines          []mark
	Required           []string // none or one
}

func newBar(m evals.Metric) bar {
	s := scale{0, 0}.with(m.Low).with(m.High).with(m.Value)
	for _, b := range m.Baselines {
		s = s.with(b)
	}
	if m.Required != nil {
		s = s.with(*m.Required)
	}
	if m.Unit == "" && s.low >= 0 && s.high <= 1 {
		s.high = 1
	}
	if s.low == s.high {
		s.high = 1
	}
	at := func(x float64) float64 { return s.place(x, barLeft, barRight) }
	out := bar{
		Label: summary(m), Width: barWidth, Left: barLeft, Right: barRight,
		Low: pixel(at(m.Low)), Span: pixel(max(1, at(m.High)-at(m.Low))), Value: pixel(at(m.Value)),
	}
	for _, b := range baselines(m) {
		out.Baselines = append(out.Baselines, mark{X: pixel(at(b.Value)), Name: b.Name + " " + figure(b.Value)})
	}
	if m.Required != nil {
		out.Required = []string{pixel(at(*m.Required))}
	}
	return out
}
