package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	kafkago "github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/llm-sentinel/llm-sentinel/deploy/stack/stacktest"
	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/notify"
)

// Known incidents go in and the process is killed again and again; what comes out is compared with what went in by a checker that
// asks Sentinel nothing. SENTINEL_SOAK_KILLS is how often; where it is set the brokers and the database are stopped and started too.
func TestSoak(t *testing.T) {
	kills, long := 3, os.Getenv("SENTINEL_SOAK_KILLS") != ""
	if long {
		var err error
		kills, err = strconv.Atoi(os.Getenv("SENTINEL_SOAK_KILLS"))
		require.NoError(t, err)
	}
	for _, driver := range []string{"sqlite", "postgres"} {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			s := newSoak(t, driver, kills, long)
			s.play(t)
			s.check(t)
		})
	}
}

// soak is one run.
type soak struct {
	driver   string
	kills    int
	topics   *topics
	kafka    *stacktest.Server // its own, to be stopped; nil for the shared one
	postgres *stacktest.Server
	settings string
	stream   *inbox // Kafka out
	hook     *inbox // webhook out
	refused  atomic.Int64
	services []string // one known incident each

	written, repeated, moved   int
	killed, brokerOut, baseOut int
}

func newSoak(t *testing.T, driver string, kills int, long bool) *soak {
	t.Helper()
	s := &soak{driver: driver, kills: kills, hook: &inbox{}}
	broker, database := stacktest.Require(t, "SENTINEL_TEST_KAFKA"), ""
	if driver == "postgres" {
		database = stacktest.Require(t, "SENTINEL_TEST_POSTGRES")
	}
	if long {
		s.kafka = stacktest.Own(t, "kafka")
		broker = s.kafka.Value(t, "SENTINEL_TEST_KAFKA")
		if driver == "postgres" {
			s.postgres = stacktest.Own(t, "postgres")
			database = s.postgres.Value(t, "SENTINEL_TEST_POSTGRES")
		}
	}
	s.topics = newTopics(t, broker)
	s.stream = s.topics.read(t)
	// The sink is slow, and answers one of three requests with 500; in some seconds, all of them.
	begin := time.Now()
	sink := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
		if out := int(time.Since(begin).Seconds())%20 < 5; err != nil || out || rand.IntN(3) == 0 {
			s.refused.Add(1)
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		s.hook.add(body)
	}))
	t.Cleanup(sink.Close)
	s.settings = fmt.Sprintf(`
log: {level: WARN}
engine:
  allowed_lateness: 20s
  idle_after: 10s
  snapshot_every: 200ms
  assembly: {quiet_after_root: 1s}
kafka:
  brokers: [%q]
  topics: [{name: %q, group: %q}]
  session_timeout: 6s
  commit_interval: 100ms
notify:
  retry: {initial: 100ms, max: 1s, max_attempts: 1000}
  receivers:
    - {name: stream, type: kafka, settings: {brokers: [%q], topic: %q}}
    - {name: hook, type: webhook, settings: {url: %q}}
  default_receivers: [stream, hook]
`, broker, s.topics.telemetry, s.topics.telemetry, broker, s.topics.alerts, sink.URL)
	if database != "" {
		schema := "soak_" + strings.ReplaceAll(uuid.NewString(), "-", "")
		s.settings += fmt.Sprintf("store: {driver: postgres, postgres: {url: %q, schema: %q}}\n", database, schema)
		t.Cleanup(func() {
			ctx := context.WithoutCancel(t.Context())
			conn, err := pgx.Connect(ctx, database)
			require.NoError(t, err)
			_, err = conn.Exec(ctx, "DROP SCHEMA IF EXISTS "+schema+" CASCADE")
			require.NoError(t, err)
			require.NoError(t, conn.Close(ctx))
		})
	}
	return s
}

// load is the traffic in the order in which it is delivered: of several services side by side, each with a burst of errors of its own
// provider; some messages twice, and neighbours exchanged.
func (s *soak) load(t *testing.T) [][]byte {
	t.Helper()
	type call struct {
		at   time.Time
		body []byte
	}
	var calls []call
	begin := time.Now().Add(-72 * time.Hour).Truncate(time.Hour)
	n := 4 + s.kills/5
	for i := range n {
		name := fmt.Sprintf("service-%d", i)
		s.services = append(s.services, name)
		f := newTraffic(name, begin)
		f.silent = true
		named := func(change func(int, ptrace.Span)) func(int, ptrace.Span) {
			return func(i int, span ptrace.Span) {
				span.SetName("chat model-of-" + name)
				span.Attributes().PutStr("gen_ai.request.model", "model-of-"+name)
				span.Attributes().PutStr("gen_ai.provider.name", "provider-of-"+name)
				if change != nil {
					change(i, span)
				}
			}
		}
		before := 600 + i*160 // calls every half minute: an hour lies between two bursts, or they would be taken for one trouble
		all := f.calls(before, 30*time.Second, named(nil))
		all = append(all, f.calls(120, 10*time.Second, named(failing))...)
		all = append(all, f.calls(60+(n-1-i)*160, 30*time.Second, named(nil))...)
		for k, body := range encoded(t, all) {
			calls = append(calls, call{spansOf(all[k])[0].EndTimestamp().AsTime(), body})
		}
	}
	slices.SortStableFunc(calls, func(a, b call) int { return a.at.Compare(b.at) })
	out := make([][]byte, 0, len(calls))
	for i, c := range calls {
		out = append(out, c.body)
		if i >= 3 && rand.IntN(10) == 0 {
			out = append(out, calls[i-rand.IntN(3)].body)
			s.repeated++
		}
	}
	for i := 1; i < len(out); i++ {
		if rand.IntN(5) == 0 {
			out[i-1], out[i] = out[i], out[i-1]
			s.moved++
		}
	}
	return out
}

// play delivers the load over the time that the kills take, and waits until all of it is done with.
func (s *soak) play(t *testing.T) {
	t.Helper()
	const between = 12 * time.Second // mean time between kills: a member that was killed holds its partition for six
	load := s.load(t)
	dir := t.TempDir()
	p := startProcess(t, dir, s.settings)
	next := func() time.Time { return time.Now().Add(between/6 + rand.N(between*5/3)) }
	duration := between * time.Duration(s.kills)
	const chunk = 20
	pause := duration / time.Duration(len(load)/chunk+1)
	at := next()
	for chunked := range slices.Chunk(load, chunk) {
		s.topics.write(t, chunked...)
		s.written += len(chunked)
		time.Sleep(pause)
		s.outages(t)
		if s.killed < s.kills && time.Now().After(at) {
			p, at = s.kill(t, p, dir), next()
		}
	}
	for s.killed < s.kills { // what chance has left over
		time.Sleep(rand.N(between))
		p = s.kill(t, p, dir)
	}
	for end, deadline := int64(-1), time.Now().Add(2*patience); ; time.Sleep(200 * time.Millisecond) {
		committed, err := s.topics.offset(t.Context())
		if last, lastErr := s.topics.end(t.Context()); lastErr == nil {
			end = last
		}
		if err == nil && committed == end && maps.Equal(ids(t, s.stream), ids(t, s.hook)) && len(s.stream.all()) > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Logf("committed %d of %d (%v), %d alerts on Kafka, %d at the webhook", committed, end, err, len(ids(t, s.stream)), len(ids(t, s.hook)))
			return // the checker says what is missing
		}
	}
}

func (s *soak) kill(t *testing.T, p *process, dir string) *process {
	t.Helper()
	require.NoError(t, p.cmd.Process.Kill())
	<-p.exited
	s.killed++
	return startProcess(t, dir, s.settings)
}

// outages stops and starts the broker after a third of the kills, and the database after two.
func (s *soak) outages(t *testing.T) {
	t.Helper()
	const out = 10 * time.Second
	if s.kafka != nil && s.brokerOut == 0 && s.killed >= s.kills/3 {
		s.brokerOut++
		s.kafka.Stop(t)
		time.Sleep(out)
		s.kafka.Start(t)
	}
	if s.postgres != nil && s.baseOut == 0 && s.killed >= 2*s.kills/3 {
		s.baseOut++
		s.postgres.Stop(t)
		time.Sleep(out)
		s.postgres.Start(t)
	}
}

// end is the offset behind the latest message of the telemetry.
func (k *topics) end(ctx context.Context) (int64, error) {
	res, err := k.client.ListOffsets(ctx, &kafkago.ListOffsetsRequest{Topics: map[string][]kafkago.OffsetRequest{k.telemetry: {kafkago.LastOffsetOf(0)}}})
	if err != nil {
		return 0, err
	}
	if len(res.Topics[k.telemetry]) == 0 {
		return 0, fmt.Errorf("no answer for %s", k.telemetry)
	}
	return res.Topics[k.telemetry][0].LastOffset, res.Topics[k.telemetry][0].Error
}

func ids(t *testing.T, in *inbox) map[string]bool {
	t.Helper()
	out := make(map[string]bool)
	for _, body := range in.all() {
		var m notify.Message
		require.NoError(t, json.Unmarshal(body, &m))
		out[m.AlertID] = true
	}
	return out
}

// check compares what came out with what went in.
func (s *soak) check(t *testing.T) {
	t.Helper()
	committed, err := s.topics.offset(t.Context())
	require.NoError(t, err)
	end, err := s.topics.end(t.Context())
	require.NoError(t, err)
	var table strings.Builder
	row := func(what string, value any) { fmt.Fprintf(&table, "%-44s %10v\n", what, value) }
	row("store", s.driver)
	row("messages written", s.written)
	row("of them repeated, moved", fmt.Sprintf("%d, %d", s.repeated, s.moved))
	row("kill -9", s.killed)
	row("broker, database stopped and started", fmt.Sprintf("%d, %d", s.brokerOut, s.baseOut))
	row("known incidents", len(s.services))
	row("offsets not committed at the end", end-committed)
	row("webhook answers 500", s.refused.Load())
	lost, twice, differ, missing := 0, 0, 0, 0
	for _, out := range []struct {
		name string
		*inbox
	}{{"Kafka", s.stream}, {"webhook", s.hook}} {
		var told []string
		raised, contents := make(map[string]map[string]bool), make(map[string]map[string]bool)
		for _, body := range out.all() {
			var m notify.Message
			require.NoError(t, json.Unmarshal(body, &m))
			if contents[m.AlertID] == nil {
				contents[m.AlertID] = make(map[string]bool)
			}
			contents[m.AlertID][string(body)] = true
			told = append(told, fmt.Sprintf("%s %s %s %v", m.Change, m.IncidentID, m.Fingerprint, m.AffectedServices))
			if m.Change != engine.ChangeRaised || m.AnomalyType != engine.ErrorRate {
				continue
			}
			for _, service := range m.AffectedServices {
				if raised[service] == nil {
					raised[service] = make(map[string]bool)
				}
				raised[service][m.AlertID] = true
			}
		}
		for _, service := range s.services {
			switch n := len(raised[service]); {
			case n == 0:
				lost++
				t.Logf("%s: %s was never raised; what was: %s", out.name, service, strings.Join(told, "; "))
			case n > 1:
				twice++
				t.Logf("%s: %s was raised under %v", out.name, service, slices.Sorted(maps.Keys(raised[service])))
			}
		}
		for id, c := range contents {
			if len(c) > 1 {
				differ++
				t.Logf("%s: %s has %d contents: %.700s", out.name, id, len(c), strings.Join(slices.Sorted(maps.Keys(c)), "\n"))
			}
		}
		row(out.name+": messages, alerts", fmt.Sprintf("%d, %d", len(out.all()), len(contents)))
	}
	for id := range ids(t, s.stream) {
		if !ids(t, s.hook)[id] {
			missing++
		}
	}
	for id := range ids(t, s.hook) {
		if !ids(t, s.stream)[id] {
			missing++
		}
	}
	row("alerts that one receiver lacks", missing)
	row("known incidents lost", lost)
	row("known incidents under two ids", twice)
	row("alert ids with two contents", differ)
	t.Log("\n" + table.String())
	require.Zero(t, cmp.Or(lost, twice, differ, missing), "see the table")
	require.Equal(t, end, committed)
}
