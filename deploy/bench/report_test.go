package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestContestIsToldByItsPairsOfRounds(t *testing.T) {
	t.Parallel()
	turn := func(spans float64) round {
		return round{spans: spans, cpu: time.Second, wall: 2 * time.Second, mallocs: 10 * spans}
	}
	c := contest{name: "one", sentinel: []round{turn(300), turn(100), turn(200)}, other: []round{turn(100), turn(100), turn(100)}}
	var out strings.Builder
	c.print(&out)
	require.Contains(t, out.String(), "ratio: median 2.00, from 1.00 to 3.00 over 3 rounds")
	require.Contains(t, out.String(), "10.0", "allocations a span")
	require.Equal(t, 2.5, median([]float64{4, 1, 3, 2}))
}
