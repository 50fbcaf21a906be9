package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// server is a program under measurement.
type server struct {
	name    string
	otlp    string // host:port of OTLP/gRPC
	metrics string // URL in Prometheus' text format
	taken   string // the counter of spans that it took in, or as much of its name as all versions share
	mallocs string // the counter of heap allocations, "" for a server that does not tell
	cmd     *exec.Cmd
	logged  *bytes.Buffer
}

// start runs a program on one core, with GOMAXPROCS=1, and waits until it takes OTLP.
func (s *server) start(ctx context.Context, cpu int, dir string, args ...string) error {
	s.logged = new(bytes.Buffer)
	program, err := filepath.Abs(args[0]) // it runs in another folder
	if err != nil {
		return fmt.Errorf("start %s: %w", s.name, err)
	}
	s.cmd = exec.CommandContext(ctx, program, args[1:]...)
	s.cmd.Dir = dir
	s.cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	s.cmd.Stdout, s.cmd.Stderr = s.logged, s.logged
	s.cmd.Cancel = func() error { return s.cmd.Process.Signal(syscall.SIGTERM) }
	s.cmd.WaitDelay = 30 * time.Second
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", s.name, err)
	}
	if err := pin(s.cmd.Process.Pid, cpu); err != nil {
		return err
	}
	for range 600 {
		conn, err := net.DialTimeout("tcp", s.otlp, time.Second)
		if err == nil {
			return conn.Close()
		}
		if err := unix.Kill(s.cmd.Process.Pid, 0); err != nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("%s does not listen on %s; it said:\n%s", s.name, s.otlp, s.logged)
}

// pin keeps all threads of a process on one core. Threads that they start later are kept there too.
func pin(pid, cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil {
		return fmt.Errorf("list threads of %d: %w", pid, err)
	}
	for _, task := range tasks {
		id, err := strconv.Atoi(filepath.Base(task))
		if err != nil {
			return fmt.Errorf("thread %s: %w", task, err)
		}
		if err := unix.SchedSetaffinity(id, &set); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("pin thread %d to core %d: %w", id, cpu, err)
		}
	}
	return nil
}

// cpuTime is what the process used so far, in user and in system mode.
func (s *server) cpuTime() (time.Duration, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("CPU time of %s: %w", s.name, err)
	}
	// utime and stime are fields 14 and 15, in clock ticks of which Linux always shows 100 a second; the command before them may
	// hold spaces.
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("CPU time of %s: %q has too few fields", s.name, raw)
	}
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("CPU time of %s: %w", s.name, err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100, nil
}

// counters reads the server's metrics, series added up by name.
func (s *server) counters(ctx context.Context) (map[string]float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.metrics, nil)
	if err != nil {
		return nil, fmt.Errorf("metrics of %s: %w", s.name, err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("metrics of %s: %w", s.name, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("metrics of %s: %s", s.name, resp.Status)
	}
	return parseMetrics(resp.Body, s.taken, s.mallocs)
}

// parseMetrics adds up the series whose line begins with one of the prefixes.
func parseMetrics(r io.Reader, prefixes ...string) (map[string]float64, error) {
	out := make(map[string]float64)
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		for _, p := range prefixes {
			if p == "" || !strings.HasPrefix(line, p) {
				continue
			}
			value, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
			if err != nil {
				return nil, fmt.Errorf("metric %q: %w", line, err)
			}
			out[p] += value
		}
	}
	return out, lines.Err()
}

// stop ends the program.
func (s *server) stop() error {
	if s.cmd == nil || s.cmd.Process == nil {
		return nil
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	if err := s.cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w; it said:\n%s", s.name, err, s.logged)
	}
	return nil
}

// freeAddr is an address of this machine that nothing listens on.
func freeAddr(ctx context.Context) (string, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}
