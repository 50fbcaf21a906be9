package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCountersAreAddedUpOverTheirSeries(t *testing.T) {
	t.Parallel()
	page := "# HELP spans_total Spans.\nspans_total{transport=\"grpc\"} 300\nspans_total{transport=\"http\"} 1.2e3\nspansful 7\n"
	got, err := parseMetrics(strings.NewReader(page), "spans_total", "")
	require.NoError(t, err)
	require.Equal(t, map[string]float64{"spans_total": 1500}, got)
	_, err = parseMetrics(strings.NewReader("spans_total many\n"), "spans_total")
	require.ErrorContains(t, err, "spans_total many")
}

// The CPU time of a process is read from the kernel: this one has used some by the time that it has worked for a while.
func TestCPUTimeIsThatOfTheProcess(t *testing.T) {
	t.Parallel()
	self := &server{name: "self", cmd: &exec.Cmd{Process: &os.Process{Pid: os.Getpid()}}}
	before, err := self.cpuTime()
	require.NoError(t, err)
	for after := before; after <= before; {
		_, err := newRequests(1, 1)
		require.NoError(t, err)
		after, err = self.cpuTime()
		require.NoError(t, err)
	}
	gone := &server{name: "gone", cmd: &exec.Cmd{Process: &os.Process{Pid: 1 << 30}}}
	_, err = gone.cpuTime()
	require.ErrorContains(t, err, "CPU time of gone")
}
