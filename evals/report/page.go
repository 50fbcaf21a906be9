package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/llm-sentinel/llm-sentinel/evals"
)

//go:embed page.html
var pageHTML string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{"numeric": numeric}).Parse(pageHTML))

// page is what the template shows.
type page struct {
	Version   string
	Seed      uint64
	Frozen    string
	Malformed int
	Failures  []string
	Slower    []string // falls of times and rates
	Suites    []suite
}

type suite struct {
	Name        string
	ID          string // in the page
	Why         string // it is unavailable as a whole; "" when it ran
	Seconds     string
	Notes       []string
	Metrics     []metric
	Charts      []chart
	Confusions  []heatMap
	Tables      []evals.Table
	Unavailable []absent
	Malformed   int
	Skipped     []evals.Skipped // the first of them
}

type metric struct {
	Name, Value, Unit, Interval string
	N                           int
	Bar                         bar
	Best                        string
	Standing                    standing
	Required                    string
	Failed                      string // what failed, in a word; "" when nothing did
	Baselines                   []string
	Gains                       []string
}

type absent struct{ Name, Why string }

type heatMap struct {
	Title   string
	Columns []string
	Rows    []heatRow
}

type heatRow struct {
	Name  string
	Cells []heatCell
	Total int
}

type heatCell struct {
	Count int
	Shade int // percent of colour
	Title string
}

// maxShade leaves the number in a cell readable, in percent of colour.
const maxShade = 55

func writePage(w io.Writer, r evals.Report, falls []Fall) error {
	p := page{Version: r.Version, Seed: r.Seed, Frozen: r.Frozen, Malformed: malformed(r), Failures: Failures(r, falls)}
	fallen := make(map[string]bool)
	for _, f := range falls {
		if f.Fails() {
			fallen[f.Suite+"."+f.Metric] = true
		} else {
			p.Slower = append(p.Slower, f.String())
		}
	}
	results := make(map[string]evals.Result)
	for _, result := range r.Results {
		results[result.Suite] = result
	}
	for i, name := range suiteNames(r) {
		s := suite{
			Name: name, ID: "suite-" + strconv.Itoa(i+1), Why: r.Unavailable[name], Malformed: r.Malformed[name],
			Notes: results[name].Notes, Tables: results[name].Tables,
		}
		if seconds, ran := r.Seconds[name]; ran {
			s.Seconds = strconv.FormatFloat(seconds, 'f', 1, 64)
		}
		for _, key := range slices.Sorted(maps.Keys(r.Suites[name])) {
			s.Metrics = append(s.Metrics, newMetric(key, r.Suites[name][key], fallen[name+"."+key]))
		}
		for _, key := range slices.Sorted(maps.Keys(r.Unavailable)) {
			if metric, of := strings.CutPrefix(key, name+"."); of {
				s.Unavailable = append(s.Unavailable, absent{metric, r.Unavailable[key]})
			}
		}
		for _, c := range results[name].Charts {
			s.Charts = append(s.Charts, newChart(c))
		}
		for _, c := range results[name].Confusions {
			s.Confusions = append(s.Confusions, newHeatMap(c))
		}
		for _, line := range r.Skipped {
			if line.Suite == name {
				s.Skipped = append(s.Skipped, line)
			}
		}
		p.Suites = append(p.Suites, s)
	}
	return pageTemplate.Execute(w, p)
}

// suiteNames are the suites in the order in which they ran, then those that did not.
func suiteNames(r evals.Report) []string {
	var names []string
	add := func(name string) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, result := range r.Results {
		add(result.Suite)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Suites)) {
		add(name)
	}
	for _, key := range slices.Sorted(maps.Keys(r.Unavailable)) {
		name, _, _ := strings.Cut(key, ".")
		add(name)
	}
	return names
}

func newMetric(name string, m evals.Metric, fell bool) metric {
	out := metric{
		Name: name, Value: figure(m.Value), Unit: m.Unit, Interval: interval(m), N: m.N, Bar: newBar(m), Best: best(m), Standing: stand(m),
	}
	if m.Lower {
		out.Name += " ↓"
	}
	if m.Required != nil {
		out.Required = requirement(m)
	}
	switch {
	case fell:
		out.Failed = "fell"
	case !m.Met():
		out.Failed = "missed"
	}
	for _, b := range baselines(m) {
		out.Baselines = append(out.Baselines, b.Name+" "+figure(b.Value))
		if g, measured := m.Gains[b.Name]; measured {
			out.Gains = append(out.Gains, fmt.Sprintf("%s: %s (%s – %s)", b.Name, figure(g.Value), figure(g.Low), figure(g.High)))
		}
	}
	return out
}

// newHeatMap shades a cell by its share of its row: rows have very different numbers of cases.
func newHeatMap(c evals.Confusion) heatMap {
	out := heatMap{Title: c.Title, Columns: c.Columns}
	for i, name := range c.Rows {
		row := heatRow{Name: name}
		if i < len(c.Counts) {
			for _, n := range c.Counts[i] {
				row.Total += n
			}
			for j, n := range c.Counts[i] {
				cell := heatCell{Count: n}
				if row.Total > 0 {
					cell.Shade = n * maxShade / row.Total
					cell.Title = fmt.Sprintf("%.1f %%", 100*float64(n)/float64(row.Total))
				}
				if j < len(c.Columns) {
					cell.Title = name + " → " + c.Columns[j] + ": " + cell.Title
				}
				row.Cells = append(row.Cells, cell)
			}
		}
		out.Rows = append(out.Rows, row)
	}
	return out
}

// numeric says whether a cell of a table is a number, to be set flush right.
func numeric(cell string) bool {
	first, _, _ := strings.Cut(strings.TrimSpace(cell), " ")
	_, err := strconv.ParseFloat(strings.TrimSuffix(first, "%"), 64)
	return err == nil
}
