package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/deploy/stack/stacktest"
	"github.com/llm-sentinel/llm-sentinel/engine"
)

// outage is how long a fault lasts that does not end by itself.
const outage = 10 * time.Second

// fault is something that happens to a run once it has been killed so often.
type fault struct {
	name   string
	after  int
	happen func(t *testing.T, p *process)
}

// others are the faults beside kills, in the order in which they happen.
func (s *soak) others() []fault {
	var out []fault
	if s.disk != nil {
		out = append(out, fault{"full disk", s.kills / 6, s.fillDisk})
	}
	out = append(out, fault{"rebalance", s.kills / 3, s.rebalance})
	if s.kafka != nil {
		out = append(out, fault{"broker stopped and started", s.kills / 2, func(t *testing.T, _ *process) { stopAndStart(t, s.kafka) }})
	}
	if s.postgres != nil {
		out = append(out, fault{"database stopped and started", 2 * s.kills / 3, func(t *testing.T, _ *process) { stopAndStart(t, s.postgres) }})
	}
	if s.long {
		for _, share := range []int{20, 40, 60, 80} {
			out = append(out, fault{"rebalance", share * s.kills / 100, s.rebalance})
			if s.disk != nil {
				out = append(out, fault{"full disk", share*s.kills/100 + 2, s.fillDisk})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b fault) int { return a.after - b.after })
	return out
}

func stopAndStart(t *testing.T, server *stacktest.Server) {
	t.Helper()
	server.Stop(t)
	time.Sleep(outage)
	server.Start(t)
}

// kill ends the process as a crash does and starts another one on the same data.
func (p *process) kill(t *testing.T, dir, settings string) *process {
	t.Helper()
	require.NoError(t, p.cmd.Process.Kill())
	<-p.exited
	return startProcess(t, dir, settings)
}

// rebalance lets another member of the group take the partition away for a while. What it is given it does not read.
func (s *soak) rebalance(t *testing.T, _ *process) {
	t.Helper()
	rival, err := kafkago.NewConsumerGroup(kafkago.ConsumerGroupConfig{
		ID: s.topics.telemetry, Brokers: []string{s.topics.broker}, Topics: []string{s.topics.telemetry}, SessionTimeout: 6 * time.Second,
		Dialer: &kafkago.Dialer{ClientID: "z-rival", Timeout: 10 * time.Second}, // of one partition the last name is given it
	})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for taken := false; !taken; {
		generation, err := rival.Next(ctx)
		require.NoError(t, err, "the partition is not handed over")
		if taken = len(generation.Assignments[s.topics.telemetry]) > 0; taken {
			time.Sleep(outage / 2)
		}
	}
	require.NoError(t, rival.Close())
}

// disk is a small file system.
type disk struct{ dir string }

const diskBytes = 64 << 20

// newDisk makes dir a file system of its own; nil where that is not permitted.
func newDisk(t *testing.T, dir string) *disk {
	t.Helper()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%d,mode=0700", diskBytes), "sentinel-soak", dir).CombinedOutput(); err != nil {
		t.Logf("no full disk in this run, mount says: %s", strings.TrimSpace(string(out)))
		return nil
	}
	t.Cleanup(func() { // after the process has ended
		out, err := exec.Command("umount", dir).CombinedOutput()
		require.NoError(t, err, "%s", out)
	})
	return &disk{dir}
}

func (d *disk) filler() string { return filepath.Join(d.dir, "filler") }

// fill leaves no byte, not even in the write-ahead log, whose pages SQLite would use again.
func (d *disk) fill(t *testing.T) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(d.dir, "sentinel.db"))
	require.NoError(t, err)
	_, _ = db.Exec("PRAGMA wal_checkpoint(TRUNCATE)") // another time, when the service is writing
	require.NoError(t, db.Close())
	f, err := os.OpenFile(d.filler(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	require.NoError(t, err)
	for block := make([]byte, 1<<20); len(block) > 0; {
		if _, err := f.Write(block); err != nil {
			require.ErrorIs(t, err, syscall.ENOSPC)
			block = block[:len(block)/2]
		}
	}
	require.NoError(t, f.Close())
}

// fillDisk fills the disk under the service for a while: it must say so, and go on by itself once there is room again.
func (s *soak) fillDisk(t *testing.T, p *process) {
	t.Helper()
	eventually(t, "word of the full disk", func() bool {
		s.disk.fill(t)
		return len(p.degraded(t, "store", "snapshots", "outbox")) > 0
	})
	time.Sleep(outage)
	require.NoError(t, os.Remove(s.disk.filler()))
	eventually(t, "recovery from the full disk", func() bool { return len(p.degraded(t, "store", "snapshots", "outbox")) == 0 })
}

// degraded returns which of the parts do not work, as health says.
func (s *server) degraded(t *testing.T, parts ...string) (out []string) {
	t.Helper()
	var health struct {
		Degraded []engine.Degradation `json:"degraded"`
	}
	s.get(t, "/api/v1/health", &health)
	for _, d := range health.Degraded {
		if slices.Contains(parts, d.Part) {
			out = append(out, d.Part)
		}
	}
	return out
}

// period is a stretch of wall time.
type period struct{ begin, end time.Time }

// faultLog notes which faults happened when.
type faultLog struct {
	order []string
	when  map[string][]period
}

func (l *faultLog) add(name string, begin time.Time) {
	if l.when == nil {
		l.when = make(map[string][]period)
	}
	if l.when[name] == nil {
		l.order = append(l.order, name)
	}
	l.when[name] = append(l.when[name], period{begin, time.Now()})
}

// What can be wrong with a known incident.
const (
	verdictLost  = "lost"
	verdictTwice = "twice"
)

// aftermath is how long after the last message of a burst a fault still counts as one amid it: its incident is on its way.
const aftermath = 20 * time.Second

// table says of each fault how often it happened, how many known incidents were under way then, and what became of them.
func (l *faultLog) table(bursts map[string]*period, wrong map[string]string) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%-30s %6s %22s %6s %14s\n", "fault", "times", "incidents under way", "lost", "under two ids")
	for _, name := range l.order {
		amid, count := 0, make(map[string]int)
		for service, b := range bursts {
			if slices.ContainsFunc(l.when[name], func(f period) bool { return f.begin.Before(b.end.Add(aftermath)) && f.end.After(b.begin) }) {
				amid++
				count[wrong[service]]++
			}
		}
		fmt.Fprintf(&out, "%-30s %6d %22d %6d %14d\n", name, len(l.when[name]), amid, count[verdictLost], count[verdictTwice])
	}
	return out.String()
}
