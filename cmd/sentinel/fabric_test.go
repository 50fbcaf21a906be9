package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/santhosh-tekuri/jsonschema/v6"
	kafkago "github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/llm-sentinel/llm-sentinel/cmd/sentinel/app"
	"github.com/llm-sentinel/llm-sentinel/deploy/stack/stacktest"
	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/notify"
)

// topics are the topics of one test on a Kafka broker. They are deleted when it ends.
type topics struct {
	broker            string
	telemetry, alerts string
	client            *kafkago.Client
}

func newTopics(t *testing.T, broker string) *topics {
	t.Helper()
	transport := &kafkago.Transport{MetadataTTL: time.Second}
	id := uuid.NewString()
	k := &topics{broker: broker, telemetry: id + ".llm.telemetry", alerts: id + ".incident.alerts",
		client: &kafkago.Client{Addr: kafkago.TCP(broker), Transport: transport, Timeout: 10 * time.Second}}
	t.Cleanup(func() {
		_, _ = k.client.DeleteTopics(context.WithoutCancel(t.Context()), &kafkago.DeleteTopicsRequest{Topics: []string{k.telemetry, k.alerts}})
		transport.CloseIdleConnections()
	})
	// One partition: events played faster than they happened keep their order.
	res, err := k.client.CreateTopics(t.Context(), &kafkago.CreateTopicsRequest{Topics: []kafkago.TopicConfig{
		{Topic: k.telemetry, NumPartitions: 1, ReplicationFactor: 1}, {Topic: k.alerts, NumPartitions: 1, ReplicationFactor: 1}}})
	require.NoError(t, err)
	for _, topic := range []string{k.telemetry, k.alerts} {
		require.NoError(t, res.Errors[topic])
		eventually(t, "topic "+topic, func() bool {
			res, err := k.client.Metadata(t.Context(), &kafkago.MetadataRequest{Topics: []string{topic}})
			return err == nil && len(res.Topics) == 1 && len(res.Topics[0].Partitions) == 1
		})
	}
	return k
}

// write appends values to the telemetry topic, in order. It tries again while the broker is away.
func (k *topics) write(t *testing.T, values ...[]byte) {
	t.Helper()
	const atOnce = 200
	for len(values) > 0 {
		chunk := values[:min(len(values), atOnce)]
		values = values[len(chunk):]
		eventually(t, "place in "+k.telemetry, func() bool {
			records := make([]kafkago.Record, len(chunk))
			for i, v := range chunk {
				records[i].Value = kafkago.NewBytes(v)
			}
			res, err := k.client.Produce(t.Context(), &kafkago.ProduceRequest{Topic: k.telemetry, RequiredAcks: kafkago.RequireAll,
				Records: kafkago.NewRecordReader(records...)})
			return err == nil && res.Error == nil
		})
	}
}

// read collects what is published on the topic for alerts until the test ends.
func (k *topics) read(t *testing.T) *inbox {
	t.Helper()
	in := &inbox{}
	reader := kafkago.NewReader(kafkago.ReaderConfig{Brokers: []string{k.broker}, Topic: k.alerts, MaxWait: 100 * time.Millisecond})
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			if m, err := reader.ReadMessage(ctx); err == nil { // else the broker is away, or the test ends
				in.add(m.Value)
			}
		}
	}()
	t.Cleanup(func() {
		stop()
		<-done
		require.NoError(t, reader.Close())
	})
	return in
}

// queues are the queues of one test on a RabbitMQ broker. They are deleted when it ends.
type queues struct {
	url                  string
	events, high, normal string
	channel              *amqp.Channel
}

func newQueues(t *testing.T) *queues {
	t.Helper()
	id := uuid.NewString()
	q := &queues{url: stacktest.Require(t, "SENTINEL_TEST_RABBITMQ"),
		events: id + ".security.events", high: id + ".incidents.high-priority", normal: id + ".incidents.normal"}
	conn, err := amqp.Dial(q.url)
	require.NoError(t, err)
	q.channel, err = conn.Channel()
	require.NoError(t, err)
	require.NoError(t, q.channel.Confirm(false))
	for _, name := range []string{q.events, q.high, q.normal} {
		_, err := q.channel.QueueDeclare(name, true, false, false, false, nil)
		require.NoError(t, err)
	}
	t.Cleanup(func() {
		for _, name := range []string{q.events, q.events + ".dead", q.high, q.normal} {
			_, err := q.channel.QueueDelete(name, false, false, false)
			require.NoError(t, err)
		}
		require.NoError(t, conn.Close())
	})
	return q
}

// send publishes security events, each as a message of its own, and returns when the broker has them.
func (q *queues) send(t *testing.T, bodies ...[]byte) {
	t.Helper()
	for _, body := range bodies {
		confirmed, err := q.channel.PublishWithDeferredConfirm("", q.events, false, false, amqp.Publishing{DeliveryMode: amqp.Persistent, Body: body})
		require.NoError(t, err)
		ok, err := confirmed.WaitContext(t.Context())
		require.NoError(t, err)
		require.True(t, ok)
	}
}

// read collects what is published on one of the queues until the test ends.
func (q *queues) read(t *testing.T, queue string) *inbox {
	t.Helper()
	in := &inbox{}
	messages, err := q.channel.Consume(queue, queue, true, false, false, false, nil)
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for m := range messages {
			in.add(m.Body)
		}
	}()
	t.Cleanup(func() {
		require.NoError(t, q.channel.Cancel(queue, false))
		<-done
	})
	return in
}

// inbox is what a receiver of alerts was sent.
type inbox struct {
	mu     sync.Mutex
	bodies [][]byte
}

func (in *inbox) add(body []byte) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.bodies = append(in.bodies, body)
}

func (in *inbox) all() [][]byte {
	in.mu.Lock()
	defer in.mu.Unlock()
	return append([][]byte(nil), in.bodies...)
}

// alerts reads all messages, each of which must be as the schema says.
func (in *inbox) alerts(t *testing.T, schema *jsonschema.Schema) []notify.Message {
	t.Helper()
	var out []notify.Message
	for _, body := range in.all() {
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
		require.NoError(t, err)
		require.NoError(t, schema.Validate(document), "%s", body)
		var m notify.Message
		require.NoError(t, json.Unmarshal(body, &m))
		out = append(out, m)
	}
	return out
}

// wait returns the first alert of a change.
func (in *inbox) wait(t *testing.T, schema *jsonschema.Schema, change string) (found notify.Message) {
	t.Helper()
	eventually(t, "alert "+change, func() bool {
		for _, m := range in.alerts(t, schema) {
			if m.Change == change {
				found = m
				return true
			}
		}
		return false
	})
	return found
}

// schema compiles one of the published schemas.
func schema(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	files, err := filepath.Glob(filepath.Join("..", "..", "docs", "schemas", "*.schema.json"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		require.NoError(t, err)
		require.NoError(t, c.AddResource(document.(map[string]any)["$id"].(string), document))
	}
	s, err := c.Compile("https://github.com/llm-sentinel/llm-sentinel/blob/main/docs/schemas/" + name + ".schema.json")
	require.NoError(t, err)
	return s
}

// connect wires a service to its brokers.
func connect(t *testing.T, k *topics, q *queues) func(*app.Config) {
	t.Helper()
	parsed, err := app.Parse(fmt.Appendf(nil, `
kafka:
  brokers: [%q]
  topics: [{name: %q, group: %q}]
rabbitmq: {url: %q, security_queue: %q, gateway_queue: ""}
notify:
  receivers:
    - {name: stream, type: kafka, settings: {brokers: [%q], topic: %q}}
    - {name: queues, type: rabbitmq, settings: {url: %q, high_queue: %q, normal_queue: %q}}
  default_receivers: [stream, queues]
`, k.broker, k.telemetry, k.telemetry, q.url, q.events, k.broker, k.alerts, q.url, q.high, q.normal), "fabric.yaml")
	require.NoError(t, err)
	return func(cfg *app.Config) {
		cfg.Kafka, cfg.RabbitMQ, cfg.Notify = parsed.Kafka, parsed.RabbitMQ, parsed.Notify
		// What waits at the end of the traffic waits by the clock: there is one partition, so nothing comes late.
		cfg.Engine.AllowedLateness, cfg.Engine.Assembly.QuietAfterRoot = time.Second, time.Second
	}
}

func encoded(t *testing.T, calls []ptrace.Traces) [][]byte {
	t.Helper()
	out := make([][]byte, len(calls))
	for i, td := range calls {
		body, err := marshalTraces(td)
		require.NoError(t, err)
		out[i] = body
	}
	return out
}

// A model version is changed and answers slowly: telemetry comes from Kafka, and who reads the queue for what is urgent learns that
// it is the version.
func TestFabricLatencyAfterModelVersion(t *testing.T) {
	t.Parallel()
	k, q := newTopics(t, stacktest.Require(t, "SENTINEL_TEST_KAFKA")), newQueues(t)
	s := serve(t, connect(t, k, q))
	urgent, stream := q.read(t, q.high), k.read(t)
	const before, after = "small-1-2025-06-12", "small-1-2025-09-30"
	answered := func(version string, factor float64) func(int, ptrace.Span) {
		return func(_ int, span ptrace.Span) {
			span.Attributes().PutStr("gen_ai.response.model", version)
			took := float64(span.EndTimestamp() - span.StartTimestamp())
			span.SetEndTimestamp(span.StartTimestamp() + pcommon.Timestamp(took*factor))
		}
	}
	f := newTraffic("helpdesk", time.Now().Add(-48*time.Hour).Truncate(time.Hour))
	f.silent = true
	calm := f.calls(600, 30*time.Second, answered(before, 1))
	k.write(t, encoded(t, calm)...)
	eventually(t, "sight of the calm calls", func() bool { return s.service(t, "helpdesk").Spans == uint64(len(calm)) })
	require.Empty(t, stream.all())

	status, _, body := s.do(t, http.MethodPost, s.api+"/api/v1/events/models", "application/json", fmt.Appendf(nil,
		`{"timestamp": %q, "service": "helpdesk", "subject": "small-1", "version": %q, "previous": %q}`, f.at.Format(time.RFC3339), after, before))
	require.Equal(t, http.StatusAccepted, status, "%s", body)
	// It serves for twenty minutes before it is taken back.
	slow := append(f.calls(120, 10*time.Second, answered(after, 6)), f.calls(40, 30*time.Second, answered(before, 1))...)
	k.write(t, encoded(t, slow)...)
	sent := time.Now()

	raised := urgent.wait(t, schema(t, "incidents.high-priority"), engine.ChangeRaised)
	t.Logf("raised as %s %s %s after the last message", raised.Severity, raised.AnomalyType, time.Since(sent).Round(time.Millisecond))
	require.Equal(t, engine.LatencySpike, raised.AnomalyType)
	require.Equal(t, []string{"helpdesk"}, raised.AffectedServices)
	require.Greater(t, raised.Metrics.Deviation, 3.0)
	for name, in := range map[string]*inbox{"incidents.high-priority": urgent, "incident.alerts": stream} {
		told := in.wait(t, schema(t, name), engine.ChangeExplained)
		require.Equal(t, raised.IncidentID, told.IncidentID)
		require.NotNil(t, told.Cause)
		require.Equal(t, engine.SubjectModelVersion, told.Cause.Kind, "%+v", told.Cause)
		require.Equal(t, after, told.Cause.Value)
		require.Equal(t, after, told.Context.ModelVersion)
		require.NotEmpty(t, told.Recommendations)
	}
	for _, m := range stream.alerts(t, schema(t, "incident.alerts")) {
		require.Equal(t, raised.IncidentID, m.IncidentID, "one incident and no other: %s", m.Title)
	}
	eventually(t, "commit of all that was read", func() bool { return k.committed(t) == int64(len(calm)+len(slow)) })
}

// committed is the offset that the service's group has committed, -1 for none.
func (k *topics) committed(t *testing.T) int64 {
	t.Helper()
	offset, err := k.offset(t.Context())
	require.NoError(t, err)
	return offset
}

func (k *topics) offset(ctx context.Context) (int64, error) {
	res, err := k.client.OffsetFetch(ctx, &kafkago.OffsetFetchRequest{GroupID: k.telemetry, Topics: map[string][]int{k.telemetry: {0}}})
	if err != nil {
		return 0, err
	}
	if len(res.Topics[k.telemetry]) == 0 {
		return 0, errors.Join(res.Error, errors.New("no answer for the topic"))
	}
	return res.Topics[k.telemetry][0].CommittedOffset, errors.Join(res.Error, res.Topics[k.telemetry][0].Error)
}

// jailbreak is an event of a guard, as it is sent.
func jailbreak(t *testing.T, at time.Time, key string) []byte {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"id": uuid.NewString(), "timestamp": at.Format(time.RFC3339Nano), "type": "jailbreak", "severity": "high",
		"service": "helpdesk", "details": map[string]string{"api_key": key, "pattern": "role_play", "action": "blocked"},
	})
	require.NoError(t, err)
	return body
}

// One key sends fifty jailbreaks in ten minutes, beside a trickle of the same from many keys: one critical incident about that
// key, which says to revoke it.
func TestFabricFiftyJailbreaks(t *testing.T) {
	t.Parallel()
	k, q := newTopics(t, stacktest.Require(t, "SENTINEL_TEST_KAFKA")), newQueues(t)
	s := serve(t, connect(t, k, q))
	urgent, stream := q.read(t, q.high), k.read(t)
	published := schema(t, "security.events")

	at, sent := time.Now().Add(-24*time.Hour).Truncate(time.Hour), 0
	trickle := func(d time.Duration) (bodies [][]byte) { // an event every two minutes, from eighty keys in turn
		for end := at.Add(d); at.Before(end); at = at.Add(2 * time.Minute) {
			sent++
			bodies = append(bodies, jailbreak(t, at, fmt.Sprintf("key-%d", sent*37%80)))
		}
		return bodies
	}
	calm := trickle(10 * time.Hour)
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(calm[0]))
	require.NoError(t, err)
	require.NoError(t, published.Validate(document))
	q.send(t, calm...)
	taken := func(n int) func() bool { return func() bool { return s.attacks(t) == n } }
	eventually(t, "sight of the trickle", taken(sent))
	require.Empty(t, stream.all(), "the trickle is quiet")

	begin := at
	beside := trickle(10 * time.Minute)
	for i := range 50 {
		q.send(t, jailbreak(t, begin.Add(time.Duration(i)*12*time.Second), "key-stolen"))
		if i%10 == 0 {
			q.send(t, beside[i/10])
		}
	}
	last := time.Now()
	told := urgent.wait(t, schema(t, "incidents.high-priority"), engine.ChangeExplained)
	t.Logf("explained %s after the last event", time.Since(last).Round(time.Millisecond))
	require.Equal(t, engine.SecurityPattern, told.AnomalyType)
	require.Equal(t, engine.SeverityCritical, told.Severity)
	require.Contains(t, told.Title, "key-stolen")
	require.Condition(t, func() bool {
		for _, r := range told.Recommendations {
			if strings.Contains(r, "Revoke") && strings.Contains(r, "key-stolen") {
				return true
			}
		}
		return false
	}, "%q", told.Recommendations)

	// The trickle goes on, past the end of everything that waits.
	q.send(t, trickle(2*time.Hour)...)
	eventually(t, "sight of all events", taken(sent+50))
	eventually(t, "end of the incident", func() bool {
		var page engine.Page[engine.Incident]
		s.get(t, "/api/v1/incidents", &page)
		return len(page.Items) > 0 && page.Items[0].Status == engine.StatusResolved
	})
	stream.wait(t, schema(t, "incident.alerts"), engine.ChangeResolved)
	raised := 0
	for _, m := range stream.alerts(t, schema(t, "incident.alerts")) {
		require.Equal(t, told.IncidentID, m.IncidentID, "one incident and no other: %s", m.Title)
		if m.Change == engine.ChangeRaised {
			raised++
		}
	}
	require.Equal(t, 1, raised)
}

var attacks = regexp.MustCompile(`(?m)^sentinel_security_events_total\{class="attack"\} (\d+)$`)

// attacks is how many events of attacks the service has looked at.
func (s *server) attacks(t *testing.T) int {
	t.Helper()
	_, _, page := s.do(t, http.MethodGet, s.api+"/metrics", "", nil)
	m := attacks.FindSubmatch(page)
	require.NotNil(t, m)
	n, err := strconv.Atoi(string(m[1]))
	require.NoError(t, err)
	return n
}
