package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// process is a service in a process of its own.
type process struct {
	*server
	cmd    *exec.Cmd
	exited chan struct{}
	err    error // of Wait, once exited is closed

	mu  sync.Mutex
	log []string
}

var announcement = regexp.MustCompile(`page and API on (\S+), OTLP on (\S+) \(gRPC\) and (\S+) \(HTTP\)`)

// startProcess runs "sentinel serve" on dir and waits until it serves. It is killed when the test ends.
func startProcess(t *testing.T, dir, settings string) *process {
	t.Helper()
	config := filepath.Join(t.TempDir(), "sentinel.yaml")
	require.NoError(t, os.WriteFile(config, []byte(`
api: {listen: "127.0.0.1:0"}
otlp: {grpc: "127.0.0.1:0", http: "127.0.0.1:0"}
`+settings), 0o600))
	p := &process{server: newServer(t, nil), exited: make(chan struct{})}
	p.cmd = exec.Command("sentinel", "serve", "--config", config, "--data-dir", dir)
	out, err := p.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	ready := make(chan []string, 1)
	go func() {
		defer close(p.exited)
		p.read(out, ready)
		p.err = p.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended
		<-p.exited
		if t.Failed() {
			t.Log(strings.Join(p.logged(), "\n"))
		}
	})
	select {
	case addrs := <-ready:
		p.api, p.grpc, p.otlp = addrs[1], addrs[2], "http://"+addrs[3]
	case <-p.exited:
		require.Fail(t, "serve ended", strings.Join(p.logged(), "\n"))
	case <-time.After(patience):
		require.Fail(t, "serve does not come up")
	}
	return p
}

// read keeps the latest lines of the log and finds out where the service listens.
func (p *process) read(log io.Reader, ready chan<- []string) {
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		p.mu.Lock()
		p.log = append(p.log, lines.Text())
		p.log = p.log[max(0, len(p.log)-200):]
		p.mu.Unlock()
		if m := announcement.FindStringSubmatch(lines.Text()); m != nil {
			ready <- m
		}
	}
}

func (p *process) logged() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.log...)
}

// metric reads one metric without labels.
func (p *process) metric(t *testing.T, name string) float64 {
	t.Helper()
	status, _, body := p.do(t, http.MethodGet, p.api+"/metrics", "", nil)
	require.Equal(t, http.StatusOK, status)
	m := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindSubmatch(body)
	require.NotNil(t, m, "no metric %s", name)
	value, err := strconv.ParseFloat(string(m[1]), 64)
	require.NoError(t, err)
	return value
}

// snapshotTaken waits until the baselines have been stored once more, so that all that was seen before the call is kept.
func (p *process) snapshotTaken(t *testing.T) {
	t.Helper()
	const stored = "sentinel_engine_snapshot_timestamp_seconds"
	// The one under way may have begun before.
	for range 2 {
		before := p.metric(t, stored)
		eventually(t, "snapshot", func() bool { return p.metric(t, stored) > before })
	}
}

// restored waits until a service is known again.
func (p *process) restored(t *testing.T, service string) (h engine.ServiceHealth) {
	t.Helper()
	eventually(t, "memory of "+service, func() bool {
		h = p.service(t, service)
		return h.Spans > 0
	})
	return h
}

func sentinel(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("sentinel", args...).Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}

// A crash under traffic costs at most one snapshot interval of what was learnt, and nothing of what was found, said and granted.
func TestServeSurvivesKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const settings = "engine: {snapshot_every: 200ms}"
	p := startProcess(t, dir, settings)
	p.key = sentinel(t, "keys", "create", "tests", "--scope", "admin", "--data-dir", dir)
	f, burst := errorBurst("helpdesk")
	p.send(t, burst)
	in := p.incident(t)
	require.NotEqual(t, engine.StatusResolved, in.Status)
	status, _, body := p.do(t, http.MethodPost, p.api+"/api/v1/feedback", "application/json",
		fmt.Appendf(nil, `{"incident_id": %q, "verdict": "true_positive", "by": "ops", "comment": "the provider was down"}`, in.ID))
	require.Equal(t, http.StatusCreated, status, "%s", body)

	// It is killed amid traffic, at some moment after the snapshot.
	sending := make(chan struct{})
	go func() {
		defer close(sending)
		player := player{client: p.http}
		for {
			body, err := marshalTraces(f.calls(1, 10*time.Millisecond, nil)[0])
			if err != nil || player.post(context.WithoutCancel(t.Context()), p.otlp+"/v1/traces", "application/x-protobuf", body) != nil {
				return // it is dead
			}
		}
	}()
	eventually(t, "traffic", func() bool { return p.service(t, "helpdesk").Spans > uint64(len(burst)) })
	before := p.service(t, "helpdesk")
	p.snapshotTaken(t)
	last := p.service(t, "helpdesk")
	require.NoError(t, p.cmd.Process.Kill())
	<-p.exited
	<-sending

	again := startProcess(t, dir, settings)
	again.key = p.key
	after := again.restored(t, "helpdesk")
	t.Logf("%d spans were known before the snapshot, %d before the crash, %d after the restart", before.Spans, last.Spans, after.Spans)
	require.GreaterOrEqual(t, after.Spans, before.Spans)
	require.Len(t, after.Learning, len(before.Learning))
	for i, series := range after.Learning {
		require.False(t, series.Learning, "learning starts over: %+v", series)
		require.GreaterOrEqual(t, series.Seen, before.Learning[i].Seen)
	}

	kept := again.incident(t)
	require.Equal(t, in.ID, kept.ID)
	require.Equal(t, in.Explanation.Note, kept.Explanation.Note)
	var said engine.Page[engine.Feedback]
	again.get(t, "/api/v1/feedback", &said)
	require.Len(t, said.Items, 1)
	require.Equal(t, "the provider was down", said.Items[0].Comment)
	require.Contains(t, sentinel(t, "keys", "list", "--data-dir", dir), "tests")
	again.key = "sk-sentinel-0-wrong"
	status, _, _ = again.do(t, http.MethodGet, again.api+"/api/v1/services", "", nil)
	require.Equal(t, http.StatusUnauthorized, status, "a wrong key is refused, so the right one was known")

	// The trouble that was open goes on as the same incident.
	again.key = p.key
	status, _, body = again.do(t, http.MethodPost, again.api+"/api/v1/incidents/"+in.ID+"/acknowledge", "application/json", []byte(`{"by": "ops"}`))
	require.Equal(t, http.StatusOK, status, "%s", body)
}

// A graceful stop judges and stores everything that was accepted.
func TestServeDrainsOnTerm(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startProcess(t, dir, "engine: {snapshot_every: 1h}")
	f := newTraffic("helpdesk", time.Now().Add(-4*time.Hour))
	f.silent = true
	calm := f.calls(300, 30*time.Second, nil)
	slow := f.calls(5, time.Second, endless)
	p.send(t, append(calm, slow...))
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-p.exited:
	case <-time.After(patience):
		require.Fail(t, "it does not stop")
	}
	require.NoError(t, p.err, "exit code 0")

	again := startProcess(t, dir, "")
	require.Equal(t, uint64(len(calm)+len(slow)), again.restored(t, "helpdesk").Spans, "all were screened, and that is stored")
	var anomalies engine.Page[engine.Anomaly]
	again.get(t, "/api/v1/anomalies?type=latency_spike&limit=100", &anomalies)
	judged := make(map[string]bool)
	for _, a := range anomalies.Items {
		judged[a.TraceID.String()] = true
	}
	for _, td := range slow {
		require.True(t, judged[traceOf(td)], "trace %s was accepted and not judged", traceOf(td))
	}
}
