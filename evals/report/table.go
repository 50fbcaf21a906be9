package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/llm-sentinel/llm-sentinel/evals"
)

var headings = []string{"suite", "metric", "value", "95 % interval", "n", "best baseline"}

// rows are the cells of all metrics, by suite and metric.
func rows(r evals.Report) [][]string {
	var out [][]string
	for _, suite := range slices.Sorted(maps.Keys(r.Suites)) {
		for _, name := range slices.Sorted(maps.Keys(r.Suites[suite])) {
			m := r.Suites[suite][name]
			value := withUnit(m.Value, m.Unit)
			if !m.Met() {
				value += " (required: " + requirement(m) + ")"
			}
			out = append(out, []string{suite, name, value, interval(m), strconv.Itoa(m.N), best(m)})
		}
	}
	return out
}

// Print writes the table of all metrics for a terminal, then what is unavailable and why, and how many lines of data were malformed.
func Print(w io.Writer, r evals.Report) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.ToUpper(strings.Join(headings, "\t")))
	for _, row := range rows(r) {
		fmt.Fprintln(t, strings.TrimRight(strings.Join(row, "\t"), "\t"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(r.Unavailable) > 0 {
		if _, err := fmt.Fprintln(w, "\nunavailable:"); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Unavailable)) {
		if _, err := fmt.Fprintf(w, "  %s: %s\n", name, r.Unavailable[name]); err != nil {
			return err
		}
	}
	if n := malformed(r); n > 0 {
		if _, err := fmt.Fprintf(w, "\nmalformed lines skipped: %d\n", n); err != nil {
			return err
		}
	}
	return nil
}

// malformed is how many lines all suites left out.
func malformed(r evals.Report) int {
	n := 0
	for _, lines := range r.Malformed {
		n += lines
	}
	return n
}

// Markdown writes the same table for a README, and what is unavailable as a list below it.
func Markdown(w io.Writer, r evals.Report) error {
	var out strings.Builder
	line := func(cells []string) {
		for _, c := range cells {
			out.WriteString("| " + escaper.Replace(c) + " ")
		}
		out.WriteString("|\n")
	}
	line(headings)
	out.WriteString("| --- | --- | --- | --- | --- | --- |\n")
	for _, row := range rows(r) {
		line(row)
	}
	if len(r.Unavailable) > 0 {
		out.WriteString("\nUnavailable:\n\n")
	}
	for _, name := range slices.Sorted(maps.Keys(r.Unavailable)) {
		fmt.Fprintf(&out, "- %s: %s\n", escaper.Replace(name), escaper.Replace(r.Unavailable[name]))
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// escaper keeps a cell a cell.
var escaper = strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;")
