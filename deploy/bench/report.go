package main

import (
	"fmt"
	"io"
	"slices"
)

// contest is Sentinel, as one configuration has it, against the Collector: pairs of rounds, one after the other.
type contest struct {
	name            string
	sentinel, other []round
}

// print writes every round, and the ratios of the pairs with their median and range.
func (c contest) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s\n\n", c.name)
	fmt.Fprintf(w, "%5s %28s %28s %7s %13s %10s %9s\n", "round", "Sentinel, spans/s of a core", "Collector, spans/s of a core", "ratio", "allocs a span", "cores used", "refused")
	var ratios, ours, theirs, allocs []float64
	for i, s := range c.sentinel {
		o := c.other[i]
		ratio := s.perCore() / o.perCore()
		ratios, ours, theirs = append(ratios, ratio), append(ours, s.perCore()), append(theirs, o.perCore())
		allocs = append(allocs, s.mallocs/s.spans)
		fmt.Fprintf(w, "%5d %28.0f %28.0f %7.2f %13.1f %4.2f, %4.2f %9d\n", i+1, s.perCore(), o.perCore(), ratio, s.mallocs/s.spans,
			s.cpu.Seconds()/s.wall.Seconds(), o.cpu.Seconds()/o.wall.Seconds(), s.refused)
	}
	fmt.Fprintf(w, "%5s %28.0f %28.0f %7.2f %13.1f\n", "", median(ours), median(theirs), median(ratios), median(allocs))
	fmt.Fprintf(w, "\nratio: median %.2f, from %.2f to %.2f over %d rounds\n", median(ratios), slices.Min(ratios), slices.Max(ratios), len(ratios))
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
