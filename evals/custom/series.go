package custom

import (
	"context"
	"fmt"

	"github.com/llm-sentinel/llm-sentinel/evals"
)

const (
	blockPoints     = 50 // neighbouring points of one label that the bootstrap draws together
	probationPart   = 0.15
	probationAtMost = 750    // points; both as in the Numenta Anomaly Benchmark
	cancelEvery     = 10_000 // points between two looks at the context
)

// play has a fresh detector see each series from its first point to its last, in the order of the file. The first points of a series,
// in which every detector still learns, do not count afterwards.
func (c *contest) play(ctx context.Context, fresh func() (Detector, error)) error {
	total := make(map[string]int)
	for _, r := range c.rows {
		total[r.Series]++
	}
	detectors := make(map[string]Detector)
	seen := make(map[string]int)
	counts := make([]bool, len(c.rows))
	for i, r := range c.rows {
		if i%cancelEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		seen[r.Series]++
		counts[i] = seen[r.Series] > min(int(probationPart*float64(total[r.Series])), probationAtMost)
		if fresh == nil {
			continue
		}
		if detectors[r.Series] == nil {
			var err error
			if detectors[r.Series], err = fresh(); err != nil {
				return fmt.Errorf("series %q: %w", r.Series, err)
			}
		}
		c.opinions[i] = opinion{Opinion: evals.Opinion{Score: detectors[r.Series].Next(r.At, r.Value), Found: true}}
	}
	if fresh == nil {
		c.why = "nothing scores series"
	}
	c.note("The first %.0f %% of each series, %d points at most, teach and do not count. The bootstrap draws blocks of up to %d neighbouring points.",
		100*probationPart, probationAtMost, blockPoints)
	return c.keep(counts)
}

// blocks names what is drawn together: up to blockPoints neighbouring points of a series that have one label.
func blocks(rows []row) []string {
	type run struct {
		number, length int
		label          string
	}
	runs := make(map[string]*run)
	out := make([]string, len(rows))
	for i, r := range rows {
		now := runs[r.Series]
		switch {
		case now == nil:
			now = &run{label: r.Label}
			runs[r.Series] = now
		case now.label != r.Label || now.length == blockPoints:
			*now = run{number: now.number + 1, label: r.Label}
		}
		now.length++
		out[i] = fmt.Sprintf("%s block %d", r.Series, now.number)
	}
	return out
}
