package evals

// Result is what a suite measured.
type Result struct {
	Suite       string            `json:"suite"`
	Metrics     map[string]Metric `json:"metrics"`
	Unavailable map[string]string `json:"unavailable,omitempty"` // by metric: why it could not be measured
	Notes       []string          `json:"notes,omitempty"`       // what a reader must know to read the figures rightly
	Charts      []Chart           `json:"charts,omitempty"`
	Confusions  []Confusion       `json:"confusions,omitempty"`
	Tables      []Table           `json:"tables,omitempty"`
}

// Metric is one figure with its 95 % bootstrap interval. Baselines are the same figure of trivial systems on the same cases.
type Metric struct {
	Value     float64             `json:"value"`
	Low       float64             `json:"low"`
	High      float64             `json:"high"`
	N         int                 `json:"n"`                   // cases that the figure rests on
	Unit      string              `json:"unit,omitempty"`      // "" for a proportion or a score
	Lower     bool                `json:"lower_is_better"`     // the direction that is better
	Speed     bool                `json:"speed,omitempty"`     // a time or a rate of this machine: differs from run to run
	Baselines map[string]float64  `json:"baselines,omitempty"` // by name
	Gains     map[string]Interval `json:"gains,omitempty"`     // value less a baseline's, paired on the same resamples
	Required  *float64            `json:"required,omitempty"`  // the worst value that passes, where a user demands one
}

// Met says whether the value is at least as good as what is required of it, if anything is.
func (m Metric) Met() bool { return m.Required == nil || !m.Worse(*m.Required) }

// Worse says whether the value is worse than another, in the direction of the metric.
func (m Metric) Worse(other float64) bool {
	if m.Lower {
		return m.Value > other
	}
	return m.Value < other
}

// Interval is a value with its 95 % bounds.
type Interval struct {
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// Chart is a set of curves over common axes.
type Chart struct {
	Title  string  `json:"title"`
	X      string  `json:"x"`
	Y      string  `json:"y"`
	Curves []Curve `json:"curves"`
}

// Curve is one line: X and Y have equal length, at most a few hundred points.
type Curve struct {
	Name string    `json:"name"`
	X    []float64 `json:"x"`
	Y    []float64 `json:"y"`
}

// Confusion counts cases by their true group (row) and what was said of them (column).
type Confusion struct {
	Title   string   `json:"title"`
	Rows    []string `json:"rows"`
	Columns []string `json:"columns"`
	Counts  [][]int  `json:"counts"` // one row a row
}

// Table is figures that are too many or too mixed for metrics.
type Table struct {
	Title   string     `json:"title"`
	Columns []string   `json:"columns"`
	Rows    [][]string `json:"rows"`
}

// NewResult is an empty result of a suite.
func NewResult(suite string) Result {
	return Result{Suite: suite, Metrics: make(map[string]Metric), Unavailable: make(map[string]string)}
}

// Report is what one run of suites measured: report.json, with keys in the order of their names.
type Report struct {
	Suites      map[string]map[string]Metric `json:"suites"`
	Unavailable map[string]string            `json:"unavailable"` // by suite, or "suite.metric"
	Malformed   map[string]int               `json:"malformed"`   // lines that were left out, by suite; all of them
	Skipped     []Skipped                    `json:"skipped"`     // which they were, the first of each suite
	Seed        uint64                       `json:"seed"`
	Frozen      string                       `json:"frozen,omitempty"` // check sum of the model that was given
	Version     string                       `json:"version"`
	Seconds     map[string]float64           `json:"seconds"` // a suite; differs from run to run
	Results     []Result                     `json:"-"`       // with charts, for the page
}
