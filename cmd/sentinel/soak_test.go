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

	"github.com/llm-sentinel/llm-sentinel/deploy/stack/stacktest"
	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/notify"
)

// Known incidents go in and the process is killed again and again; what comes out is compared with what went in by a checker that
// asks Sentinel nothing. SENTINEL_SOAK_KILLS is how often; where it is set the brokers and the database are stopped and started too.
// Intervals of snapshots and acknowledgements are those that users have.
func TestSoak(t *testing.T) {
	kills, long := soakKills(t)
	for _, driver := range []string{"sqlite", "postgres"} {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			s := newSoak(t, driver, kills, long)
			s.play(t)
			s.check(t)
		})
	}
}

// soakKills is how often to kill, and whether that was asked for.
func soakKills(t *testing.T) (kills int, long bool) {
	t.Helper()
	asked := os.Getenv("SENTINEL_SOAK_KILLS")
	if asked == "" {
		return 3, false
	}
	kills, err := strconv.Atoi(asked)
	require.NoError(t, err)
	return kills, true
}

// soak is one run.
type soak struct {
	driver   string
	kills    int
	long     bool
	dir      string // data of the service
	disk     *disk  // of dir, to be filled; nil where there is none
	topics   *topics
	kafka    *stacktest.Server // its own, to be stopped; nil for the shared one
	postgres *stacktest.Server
	settings string
	stream   *inbox // Kafka out
	hook     *inbox // webhook out
	refused  atomic.Int64
	bursts   map[string]*period // when the known incident of each service was delivered

	written, repeated, moved int
	faults                   faultLog
}

func newSoak(t *testing.T, driver string, kills int, long bool) *soak {
	t.Helper()
	s := &soak{driver: driver, kills: kills, long: long, dir: t.TempDir(), hook: &inbox{}, bursts: make(map[string]*period)}
	if driver == "sqlite" {
		s.disk = newDisk(t, s.dir)
	}
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

// play delivers the load over the time that the kills take, with the other faults in turn, each amid a known incident, and waits until
// all of it is done with.
func (s *soak) play(t *testing.T) {
	t.Helper()
	const between = 12 * time.Second // mean time between kills: a member that was killed holds its partition for six
	load := s.load(t)
	p := startProcess(t, s.dir, s.settings)
	next := func() time.Time { return time.Now().Add(between/6 + rand.N(between*5/3)) }
	const chunk = 20
	pause := between * time.Duration(s.kills) / time.Duration(len(load)/chunk+1)
	others, killed, at := s.others(), 0, next()
	kill := func() {
		begin := time.Now()
		p = p.kill(t, s.dir, s.settings)
		s.faults.add("kill -9", begin)
		killed++
	}
	happen := func() {
		begin := time.Now()
		others[0].happen(t, p)
		s.faults.add(others[0].name, begin)
		others = others[1:]
	}
	for chunked := range slices.Chunk(load, chunk) {
		s.write(t, chunked)
		time.Sleep(pause)
		if len(others) > 0 && killed >= others[0].after && slices.ContainsFunc(chunked, func(m message) bool { return m.burst }) {
			happen()
			at = next()
		}
		if killed < s.kills && time.Now().After(at) {
			kill()
			at = next()
		}
	}
	for killed < s.kills || len(others) > 0 { // what chance has left over
		if len(others) > 0 {
			happen()
			continue
		}
		time.Sleep(rand.N(between))
		kill()
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

// write delivers messages and notes when those of known incidents were.
func (s *soak) write(t *testing.T, messages []message) {
	t.Helper()
	bodies := make([][]byte, len(messages))
	for i, m := range messages {
		bodies[i] = m.body
	}
	begin := time.Now()
	s.topics.write(t, bodies...)
	s.written += len(messages)
	for _, m := range messages {
		if !m.burst {
			continue
		}
		if b := s.bursts[m.service]; b.begin.IsZero() {
			b.begin = begin
		}
		s.bursts[m.service].end = time.Now()
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
	row("known incidents", len(s.bursts))
	row("offsets not committed at the end", end-committed)
	row("webhook answers 500", s.refused.Load())
	wrong := make(map[string]string) // services whose known incident came out wrong
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
		for service := range s.bursts {
			switch n := len(raised[service]); {
			case n == 0:
				lost++
				wrong[service] = verdictLost
				t.Logf("%s: %s was never raised; what was: %s", out.name, service, strings.Join(told, "; "))
			case n > 1:
				twice++
				wrong[service] = verdictTwice
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
	t.Log("\n" + table.String() + s.faults.table(s.bursts, wrong))
	require.Zero(t, cmp.Or(lost, twice, differ, missing), "see the table")
	require.Equal(t, end, committed)
}
