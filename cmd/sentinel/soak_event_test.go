package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/notify"
)

// Attacks of one key are a pattern from some number on. The process is killed when it has acknowledged half of what that takes, and no
// snapshot has come: the other half completes the pattern, under one alert id. A key that sends only one half is the control.
func TestSoakSecurityEvents(t *testing.T) {
	t.Parallel()
	kills, _ := soakKills(t)
	q, hook := newQueues(t), &inbox{}
	sink := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if body, err := io.ReadAll(r.Body); err == nil {
			hook.add(body)
		}
	}))
	t.Cleanup(sink.Close)
	settings := fmt.Sprintf(`
log: {level: WARN}
engine: {snapshot_every: 1h}
rabbitmq: {url: %q, security_queue: %q, gateway_queue: ""}
notify:
  receivers: [{name: hook, type: webhook, settings: {url: %q}}]
  default_receivers: [hook]
`, q.url, q.events, sink.URL)
	dir := t.TempDir()
	p := startProcess(t, dir, settings)
	sent := 0 // to the present process
	send := func(bodies ...[]byte) {
		q.send(t, bodies...)
		sent += len(bodies)
		eventually(t, "acknowledgement of all events", func() bool { return p.acknowledged(t) == sent })
	}
	at := time.Now().Add(-20 * 24 * time.Hour).Truncate(time.Hour)
	trickle := func(d time.Duration) (bodies [][]byte) { // an event every two minutes, from eighty keys in turn
		for end := at.Add(d); at.Before(end); at = at.Add(2 * time.Minute) {
			bodies = append(bodies, jailbreak(t, at, fmt.Sprintf("key-%d", at.Unix()/120%80)))
		}
		return bodies
	}
	const half = 12 // of what security.extreme_events asks for: 20
	attacks := func(key string) (bodies [][]byte) {
		for range half {
			at = at.Add(10 * time.Second)
			bodies = append(bodies, jailbreak(t, at, key))
		}
		return bodies
	}
	send(trickle(10 * time.Hour)...)
	send(attacks("control")...)
	for n := range kills {
		send(trickle(time.Hour)...)
		key := fmt.Sprintf("stolen-%d", n)
		send(attacks(key)...)
		p, sent = p.kill(t, dir, settings), 0
		send(attacks(key)...)
		eventually(t, "alert about "+key, func() bool { return len(raisedAbout(t, hook, key)) > 0 })
	}
	require.NoError(t, p.cmd.Process.Kill())
	<-p.exited
	lost, twice := 0, 0
	for n := range kills {
		switch key := fmt.Sprintf("stolen-%d", n); len(raisedAbout(t, hook, key)) {
		case 1:
		case 0:
			lost++
		default:
			twice++
		}
	}
	left, err := q.channel.QueueDeclarePassive(q.events, true, false, false, false, nil)
	require.NoError(t, err)
	t.Logf("%d kills between acknowledgement and snapshot: %d patterns lost, %d under two ids, %d events not acknowledged", kills, lost, twice, left.Messages)
	require.Zero(t, lost)
	require.Zero(t, twice)
	require.Zero(t, left.Messages)
	require.Empty(t, raisedAbout(t, hook, "control"), "half a pattern is none")
}

// raisedAbout lists the ids under which a pattern of a key was raised.
func raisedAbout(t *testing.T, in *inbox, key string) map[string]bool {
	t.Helper()
	out := make(map[string]bool)
	for _, body := range in.all() {
		var m notify.Message
		require.NoError(t, json.Unmarshal(body, &m))
		if m.Change == engine.ChangeRaised && m.AnomalyType == engine.SecurityPattern && strings.Contains(m.Title, key+" ") {
			out[m.AlertID] = true
		}
	}
	return out
}

var acknowledged = regexp.MustCompile(`(?m)^sentinel_ingest_rabbitmq_messages_total\{outcome="acknowledged",queue="[^"]*\.security\.events"\} (\d+)$`)

// acknowledged is how many messages of the queue of security events the process has acknowledged.
func (p *process) acknowledged(t *testing.T) int {
	t.Helper()
	_, _, page := p.do(t, http.MethodGet, p.api+"/metrics", "", nil)
	m := acknowledged.FindSubmatch(page)
	if m == nil {
		return 0
	}
	n, err := strconv.Atoi(string(m[1]))
	require.NoError(t, err)
	return n
}
