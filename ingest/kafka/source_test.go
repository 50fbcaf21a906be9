package kafka

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	kafkago "github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/llm-sentinel/llm-sentinel/deploy/stack/stacktest"
	"github.com/llm-sentinel/llm-sentinel/engine"
)

// One topic may hold both encodings, all signals, and every compression that Kafka knows.
func TestReadsWhatProducersWrite(t *testing.T) {
	b := shared(t, 1)
	asJSON, err := (&ptrace.JSONMarshaler{}).MarshalTraces(request("json"))
	require.NoError(t, err)
	var zipped bytes.Buffer
	zw := gzip.NewWriter(&zipped)
	_, err = zw.Write(asJSON)
	require.NoError(t, err)
	require.NoError(t, zw.Close())
	logs := plog.NewLogs()
	record := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	record.SetEventName("gen_ai.choice")
	record.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	record.SetTraceID(pcommon.TraceID{1})
	record.SetSpanID(pcommon.SpanID{2})
	record.Body().SetEmptyMap().PutEmptyMap("message").PutStr("content", "an answer")
	logBody, err := (&plog.ProtoMarshaler{}).MarshalLogs(logs)
	require.NoError(t, err)
	metrics := pmetric.NewMetrics()
	metrics.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty().SetName("requests")
	metricBody, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(metrics)
	require.NoError(t, err)

	codecs := []kafkago.Compression{0, kafkago.Gzip, kafkago.Snappy, kafkago.Lz4, kafkago.Zstd}
	for _, codec := range codecs {
		b.produceTo(t, b.topic, 0, codec,
			kafkago.Message{Value: proto(t, request("proto"))},
			kafkago.Message{Value: asJSON, Key: []byte("0123")},
			kafkago.Message{Value: zipped.Bytes()},
			kafkago.Message{Value: logBody},
			kafkago.Message{Value: metricBody},
			kafkago.Message{Key: []byte("tombstone")})
	}
	var got sink
	m := b.join(t, &got)
	batches := got.requireLen(t, 4*len(codecs))
	for i := range codecs {
		require.Equal(t, "proto", batches[4*i].Spans[0].Name)
		require.Equal(t, "checkout", batches[4*i].Spans[0].Service)
		require.Equal(t, "json", batches[4*i+1].Spans[0].Name)
		require.Equal(t, "json", batches[4*i+2].Spans[0].Name)
		require.Equal(t, engine.SpanID{2}, batches[4*i+3].Contents[0].SpanID)
	}
	b.requireCommitted(t, b.topic, 0, int64(6*len(codecs)))
	require.Empty(t, m.Degraded())
	require.Equal(t, float64(6*len(codecs)), testutil.ToFloat64(m.metrics.messages.WithLabelValues(b.topic)))
	require.Equal(t, float64(3*len(codecs)), testutil.ToFloat64(m.metrics.spans.WithLabelValues(b.topic)))
	require.Equal(t, float64(len(codecs)), testutil.ToFloat64(m.metrics.records.WithLabelValues(b.topic)))
	require.Equal(t, float64(len(codecs)), testutil.ToFloat64(m.metrics.skipped.WithLabelValues(b.topic)))
	require.Zero(t, testutil.ToFloat64(m.metrics.inFlight))
	require.Zero(t, testutil.ToFloat64(m.metrics.bytes))
	problems, err := testutil.GatherAndLint(m.registry)
	require.NoError(t, err)
	require.Empty(t, problems)
}

// The commit is the first message that is not done, in whatever order they are.
func TestCommitFollowsDone(t *testing.T) {
	b := shared(t, 1)
	b.produce(t, 0, numbered(t, 0, 0, 5)...)
	got := sink{hold: true}
	m := b.join(t, &got)
	batches := got.requireLen(t, 5)
	lag := func(want float64) {
		t.Helper()
		families, err := m.registry.Gather()
		require.NoError(t, err)
		for _, f := range families {
			if f.GetName() == "sentinel_ingest_kafka_lag_messages" {
				require.Equal(t, want, f.GetMetric()[0].GetGauge().GetValue())
			}
			if f.GetName() == "sentinel_ingest_kafka_commit_age_seconds" {
				require.Equal(t, want > 0, f.GetMetric()[0].GetGauge().GetValue() > 0)
			}
		}
	}
	lag(5)
	for _, i := range []int{4, 2, 1} {
		batches[i].Done(nil)
	}
	require.Never(t, func() bool { return b.committed(t, b.topic, 0) > 0 }, 300*time.Millisecond, 20*time.Millisecond)
	batches[0].Done(nil)
	b.requireCommitted(t, b.topic, 0, 3)
	lag(2)
	batches[3].Done(nil)
	b.requireCommitted(t, b.topic, 0, 5)
	lag(0)
	require.Len(t, got.taken(), 5)
}

// A process that ends with effects not stored leaves those messages to the next one, and no others.
func TestCrashBeforeDone(t *testing.T) {
	b := shared(t, 1)
	b.produce(t, 0, numbered(t, 0, 0, 10)...)
	before := sink{hold: true}
	m := b.join(t, &before)
	batches := before.requireLen(t, 10)
	for _, i := range []int{0, 1, 2, 3, 6} {
		batches[i].Done(nil)
	}
	b.requireCommitted(t, b.topic, 0, 4)
	m.leave()
	for _, i := range []int{4, 5, 7, 8, 9} {
		batches[i].Done(nil) // too late for anybody
	}
	require.Equal(t, int64(4), b.committed(t, b.topic, 0))

	b.produce(t, 0, numbered(t, 0, 10, 13)...)
	var after sink
	b.join(t, &after)
	after.requireLen(t, 9)
	require.Equal(t, spanNames(0, 4, 13), after.names())
	b.requireCommitted(t, b.topic, 0, 13)
}

// What the engine stores while it drains, after reading has stopped, is committed too.
func TestCloseCommitsWhatDrained(t *testing.T) {
	b := shared(t, 1)
	b.produce(t, 0, numbered(t, 0, 0, 3)...)
	got := sink{hold: true}
	m := b.join(t, &got, func(c *Config) { c.CommitInterval = time.Hour })
	batches := got.requireLen(t, 3)
	m.stop()
	b.produce(t, 0, numbered(t, 0, 3, 4)...)
	for _, x := range batches {
		x.Done(nil)
	}
	require.NoError(t, m.Close())
	require.Equal(t, int64(3), b.committed(t, b.topic, 0))
	require.Len(t, got.taken(), 3, "nothing is read after Run")
}

// A message whose effects could not be stored is handed over again, alone, and holds back the commit meanwhile.
func TestFailedEffectsAreRetried(t *testing.T) {
	b := shared(t, 1)
	const n = 50
	b.produce(t, 0, numbered(t, 0, 0, n)...)
	var mu sync.Mutex
	failures := map[string]int{spanName(0, 7): 2, spanName(0, 9): 1, spanName(0, n-1): 1}
	want := n
	for _, f := range failures {
		want += f
	}
	got := sink{verdict: func(x engine.Batch) error {
		mu.Lock()
		defer mu.Unlock()
		if failures[x.Spans[0].Name] > 0 {
			failures[x.Spans[0].Name]--
			return errStoreDown
		}
		return nil
	}}
	m := b.join(t, &got)
	b.requireCommitted(t, b.topic, 0, 7)
	require.Equal(t, "kafka store "+b.topic, m.Degraded()[0].Part)
	b.requireCommitted(t, b.topic, 0, n)
	got.requireLen(t, want)
	require.Equal(t, spanNames(0, 0, n), got.names()[:n])
	require.Subset(t, []string{spanName(0, 7), spanName(0, 9), spanName(0, n-1)}, got.names()[n:])
	require.Empty(t, m.Degraded())
	require.Equal(t, float64(want-n), testutil.ToFloat64(m.metrics.retried.WithLabelValues(b.topic)))
	require.Equal(t, float64(n), testutil.ToFloat64(m.metrics.messages.WithLabelValues(b.topic)))
}

func headerValues(m kafkago.Message) map[string]string {
	out := map[string]string{}
	for _, h := range m.Headers {
		out[h.Key] = string(h.Value)
	}
	return out
}

// A message that is of no use goes to the dead-letter topic with why and whence, and those around it are read.
func TestPoisonBecomesDeadLetter(t *testing.T) {
	b := shared(t, 1)
	b.createTopic(t, b.topic+".dlq", 1)
	garbage := []byte("\x01\x02 no telemetry")
	b.produceTo(t, b.topic, 0, 0,
		kafkago.Message{Value: proto(t, request("first"))},
		kafkago.Message{Value: garbage, Key: []byte("k"), Headers: []kafkago.Header{header("tenant", "t-1")}},
		kafkago.Message{Value: []byte(`{"resourceSpans":[{"scopeSpans":3}]}`)},
		kafkago.Message{Value: bytes.Repeat([]byte("x"), 2000)},
		kafkago.Message{Value: proto(t, request("refused"))},
		kafkago.Message{Value: proto(t, request("hopeless"))},
		kafkago.Message{Value: proto(t, request("last"))})
	got := sink{
		answer: func(x engine.Batch) error {
			if x.Spans[0].Name == "refused" {
				return engine.Errorf(engine.CodeInvalid, "no")
			}
			return nil
		},
		verdict: func(x engine.Batch) error {
			if x.Spans[0].Name == "hopeless" {
				return errHopeless
			}
			return nil
		},
	}
	m := b.join(t, &got, func(c *Config) { c.MaxMessageBytes = 1000 })
	b.requireCommitted(t, b.topic, 0, 7)
	require.Equal(t, []string{"first", "hopeless", "last"}, got.names())

	letters := b.consume(t, b.topic+".dlq", 5)
	reasonsByOffset := map[string]string{}
	for _, l := range letters {
		h := headerValues(l)
		require.Equal(t, b.topic, h[HeaderTopic])
		require.Equal(t, "0", h[HeaderPartition])
		require.NotEmpty(t, h[HeaderError])
		_, err := time.Parse(time.RFC3339Nano, h[HeaderTime])
		require.NoError(t, err)
		reasonsByOffset[h[HeaderOffset]] = h[HeaderReason]
	}
	require.Equal(t, map[string]string{"1": "malformed", "2": "malformed", "3": "too_large", "4": "refused", "5": "refused"}, reasonsByOffset)
	require.Equal(t, garbage, letters[0].Value)
	require.Equal(t, "k", string(letters[0].Key))
	require.Equal(t, "t-1", headerValues(letters[0])["tenant"])
	require.Equal(t, 2.0, testutil.ToFloat64(m.metrics.letters.WithLabelValues(b.topic, "malformed")))
	require.Equal(t, 1.0, testutil.ToFloat64(m.metrics.letters.WithLabelValues(b.topic, "too_large")))
	require.Equal(t, 2.0, testutil.ToFloat64(m.metrics.letters.WithLabelValues(b.topic, "refused")))
	require.Empty(t, m.Degraded())
}

// While the dead-letter topic does not take a message, nothing is committed past it.
func TestDeadLetterThatCannotBeWritten(t *testing.T) {
	b := shared(t, 1)
	limit := func(bytes string) kafkago.ConfigEntry {
		return kafkago.ConfigEntry{ConfigName: "max.message.bytes", ConfigValue: bytes}
	}
	b.createTopic(t, b.topic+".dlq", 1, limit("10"))
	poison := make([]byte, 3000)
	_, _ = rand.Read(poison)
	poison[0] = 0xff
	b.produce(t, 0, proto(t, request("first")), poison, proto(t, request("last")))
	var got sink
	m := b.join(t, &got)
	b.requireCommitted(t, b.topic, 0, 1)
	require.Eventually(t, func() bool { return len(m.Degraded()) == 1 }, patience, 10*time.Millisecond)
	require.Equal(t, "kafka dead letters "+b.topic+".dlq", m.Degraded()[0].Part)
	require.Never(t, func() bool { return b.committed(t, b.topic, 0) > 1 }, 500*time.Millisecond, 50*time.Millisecond)

	// There is room for the headers now, and the letter says how large the value was.
	res, err := b.AlterConfigs(t.Context(), &kafkago.AlterConfigsRequest{Resources: []kafkago.AlterConfigRequestResource{{
		ResourceType: kafkago.ResourceTypeTopic, ResourceName: b.topic + ".dlq",
		Configs: []kafkago.AlterConfigRequestConfig{{Name: "max.message.bytes", Value: "1500"}}}}})
	require.NoError(t, err)
	for _, err := range res.Errors {
		require.NoError(t, err)
	}
	b.requireCommitted(t, b.topic, 0, 3)
	letter := b.consume(t, b.topic+".dlq", 1)[0]
	require.Empty(t, letter.Value)
	require.Equal(t, "3000", headerValues(letter)[HeaderCut])
	require.Equal(t, "1", headerValues(letter)[HeaderOffset])
	require.Empty(t, m.Degraded())
}

// An engine that is full is asked again when it said, for as long as it takes; nothing is lost and nothing piles up.
func TestBackpressure(t *testing.T) {
	b := shared(t, 2)
	const n = 200
	for p := range 2 {
		b.produce(t, p, numbered(t, p, 0, n)...)
	}
	var mu sync.Mutex
	refusals := 0
	got := sink{answer: func(engine.Batch) error {
		mu.Lock()
		defer mu.Unlock()
		refusals++
		switch {
		case refusals%7 == 0:
			return &engine.Error{Code: engine.CodeFull, Message: "full", RetryAfter: 5 * time.Millisecond}
		case refusals%11 == 0:
			return &engine.Error{Code: engine.CodeUnavailable, Message: "stopping", RetryAfter: 5 * time.Millisecond}
		}
		return nil
	}}
	m := b.join(t, &got)
	for p := range 2 {
		b.requireCommitted(t, b.topic, p, n)
	}
	require.ElementsMatch(t, append(spanNames(0, 0, n), spanNames(1, 0, n)...), got.names())
	require.Positive(t, testutil.ToFloat64(m.metrics.waits.WithLabelValues(b.topic, "full")))
	require.Positive(t, testutil.ToFloat64(m.metrics.waits.WithLabelValues(b.topic, "unavailable")))
}

// No more is handed over than the bounds allow until something is done.
func TestInFlightIsBounded(t *testing.T) {
	size := len(proto(t, request(spanName(0, 10))))
	for name, bound := range map[string]func(*Config){
		"messages": func(c *Config) { c.MaxInFlightMessages = 10 },
		"bytes":    func(c *Config) { c.MaxInFlightBytes = 11*size - 1 },
	} {
		t.Run(name, func(t *testing.T) {
			b := shared(t, 1)
			b.produce(t, 0, numbered(t, 0, 10, 60)...)
			got := sink{hold: true}
			m := b.join(t, &got, bound)
			got.requireLen(t, 10)
			require.Never(t, func() bool { return len(got.taken()) > 10 }, 300*time.Millisecond, 20*time.Millisecond)
			require.Equal(t, 10.0, testutil.ToFloat64(m.metrics.inFlight))
			require.Equal(t, float64(10*size), testutil.ToFloat64(m.metrics.bytes))
			for done := 0; done < 50; {
				for _, x := range got.taken()[done:] {
					x.Done(nil)
					done++
				}
			}
			b.requireCommitted(t, b.topic, 0, 50)
			require.Zero(t, testutil.ToFloat64(m.metrics.bytes))
		})
	}
}

// ledger is a sink that knows which messages are done, and takes its time.
type ledger struct {
	mu   sync.Mutex
	done map[string]int
	slow sync.WaitGroup
}

func (l *ledger) Consume(_ context.Context, b engine.Batch) error {
	delay := time.Duration(mathrand.IntN(30)) * time.Millisecond
	if mathrand.IntN(50) == 0 {
		delay += time.Second // longer than a rebalance takes
	}
	l.slow.Go(func() {
		time.Sleep(delay)
		l.mu.Lock()
		l.done[b.Spans[0].Name]++
		l.mu.Unlock()
		b.Done(nil)
	})
	return nil
}

func (l *ledger) count(name string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.done[name]
}

// Two members share the load while one comes, goes and comes again. Every message is done, and at no moment is an offset committed
// before every message below it is.
func TestRebalanceUnderLoad(t *testing.T) {
	const partitions, n = 4, 600
	b := shared(t, partitions)
	done := &ledger{done: map[string]int{}}
	defer done.slow.Wait()

	var load [partitions][]kafkago.Message
	for p := range partitions {
		for _, value := range numbered(t, p, 0, n) {
			load[p] = append(load[p], kafkago.Message{Value: value})
		}
	}
	loaded := make(chan error, 1)
	go func() {
		for from := 0; from < n; from += 20 {
			for p := range partitions {
				err := b.write(t.Context(), b.topic, p, 0, load[p][from:from+20])
				for from == 0 && err != nil && t.Context().Err() == nil { // no leader yet
					err = b.write(t.Context(), b.topic, p, 0, load[p][:20])
				}
				if err != nil {
					loaded <- err
					return
				}
			}
			time.Sleep(100 * time.Millisecond)
		}
		loaded <- nil
	}()
	watching, stop := context.WithCancel(t.Context())
	watched := make(chan error, 1)
	go func() {
		var checked [partitions]int64
		for watching.Err() == nil {
			for p := range partitions {
				committed, err := b.fetchOffset(watching, b.topic, b.topic, p)
				if err != nil {
					continue
				}
				for ; checked[p] < committed; checked[p]++ {
					if done.count(spanName(p, int(checked[p]))) == 0 {
						watched <- fmt.Errorf("partition %d: %d is committed and offset %d is not done", p, committed, checked[p])
						return
					}
				}
			}
			time.Sleep(10 * time.Millisecond)
		}
		watched <- nil
	}()

	first := b.join(t, done)
	require.Eventually(t, func() bool { return done.count(spanName(0, 20)) > 0 }, patience, 10*time.Millisecond)
	for range 2 {
		second := b.join(t, done)
		require.Eventually(t, func() bool { return len(second.groups[0].assigned()) == partitions/2 }, patience, 10*time.Millisecond)
		require.Eventually(t, func() bool { return len(first.groups[0].assigned()) == partitions/2 }, patience, 10*time.Millisecond)
		time.Sleep(300 * time.Millisecond)
		second.leave()
		require.Eventually(t, func() bool { return len(first.groups[0].assigned()) == partitions }, patience, 10*time.Millisecond)
	}
	require.NoError(t, <-loaded)
	for p := range partitions {
		b.requireCommitted(t, b.topic, p, n)
	}
	stop()
	require.NoError(t, <-watched)
	twice := 0
	for p := range partitions {
		for _, name := range spanNames(p, 0, n) {
			require.Positive(t, done.count(name))
			twice += done.count(name) - 1
		}
	}
	t.Logf("%d of %d messages were delivered again in 4 rebalances", twice, partitions*n)
	require.Empty(t, first.Degraded())
}

// Effects that are stored after their partition went to somebody else are committed by nobody here: the new owner has its own view.
func TestDoneAfterPartitionIsLost(t *testing.T) {
	b := shared(t, 2)
	for p := range 2 {
		b.produce(t, p, numbered(t, p, 0, 5)...)
	}
	first := sink{hold: true}
	one := b.join(t, &first)
	held := first.requireLen(t, 10)

	second := sink{hold: true}
	other := b.join(t, &second)
	again := second.requireLen(t, 5) // from the start of the partition that it got
	require.Eventually(t, func() bool { return len(one.groups[0].assigned()) == 1 }, patience, 10*time.Millisecond)
	for _, x := range held {
		x.Done(nil)
	}
	var lost int
	for at := range other.groups[0].assigned() {
		lost = at.partition
	}
	b.requireCommitted(t, b.topic, 1-lost, 5)
	require.Never(t, func() bool { return b.committed(t, b.topic, lost) > 0 }, 300*time.Millisecond, 20*time.Millisecond)
	require.Len(t, first.taken(), 10, "the partition that stayed went on where it was")
	for _, x := range again {
		x.Done(nil)
	}
	b.requireCommitted(t, b.topic, lost, 5)
}

// The brokers may be away at the start and later. It shows, it passes, and nothing is lost or handed over twice by it.
func TestBrokerStopsAndStarts(t *testing.T) {
	server := stacktest.Own(t, "kafka")
	b := newBroker(t, server.Value(t, "SENTINEL_TEST_KAFKA"), 1)
	b.produce(t, 0, numbered(t, 0, 0, 10)...)
	server.Stop(t)

	got := sink{hold: true}
	m := b.join(t, &got)
	require.Eventually(t, func() bool { return len(m.Degraded()) > 0 }, patience, 10*time.Millisecond)
	require.Equal(t, "kafka group "+b.topic, m.Degraded()[0].Part)
	server.Start(t)
	batches := got.requireLen(t, 10)
	require.Empty(t, m.Degraded())
	batches[0].Done(nil)
	b.requireCommitted(t, b.topic, 0, 1)

	server.Stop(t)
	require.Eventually(t, func() bool { return len(m.Degraded()) > 0 }, patience, 10*time.Millisecond)
	for _, x := range batches[1:5] {
		x.Done(nil)
	}
	server.Start(t)
	b.requireCommitted(t, b.topic, 0, 5)
	b.produce(t, 0, numbered(t, 0, 10, 15)...)
	got.requireLen(t, 15)
	require.Equal(t, spanNames(0, 0, 15), got.names())
	for _, x := range got.taken()[5:] {
		x.Done(nil)
	}
	b.requireCommitted(t, b.topic, 0, 15)
	require.Eventually(t, func() bool { return len(m.Degraded()) == 0 }, patience, 10*time.Millisecond)

	// A broker that is away does not keep a source from being closed.
	server.Stop(t)
	m.leave()
}

// Topics of several groups, with settings of their own, run beside each other; one that does not exist yet delays no other.
func TestSeveralTopics(t *testing.T) {
	b := shared(t, 1)
	old, events, late := b.topic+"-old", b.topic+"-events", b.topic+"-late"
	b.createTopic(t, old, 1)
	b.createTopic(t, events, 1)
	b.produceTo(t, old, 0, 0, kafkago.Message{Value: proto(t, request("before"))})
	b.produceTo(t, events, 0, 0, kafkago.Message{Value: []byte(`{"type":"jailbreak","severity":"high","details":{"user":"u-1"}}`)})
	b.produce(t, 0, proto(t, request("traces")))
	var got sink
	m := b.join(t, &got, func(c *Config) {
		c.Topics = []Topic{
			{Name: b.topic, Group: b.topic, Signal: SignalTraces, Encoding: EncodingProto},
			{Name: old, Group: old, Start: StartLatest},
			{Name: events, Group: b.topic, Signal: SignalSecurity},
			{Name: late, Group: b.topic},
		}
	})
	got.requireLen(t, 2)
	require.Eventually(t, func() bool { return b.committedOf(t, old, old, 0) == 1 }, patience, 10*time.Millisecond, "latest is committed before anything is read")
	require.Equal(t, "kafka topic "+late, m.Degraded()[0].Part)

	b.createTopic(t, late, 2)
	b.produceTo(t, late, 1, 0, kafkago.Message{Value: proto(t, request("late"))})
	b.produceTo(t, old, 0, 0, kafkago.Message{Value: proto(t, request("after"))})
	var names []string
	for _, x := range got.requireLen(t, 4) {
		if len(x.Events) > 0 {
			require.Equal(t, "u-1", x.Events[0].User)
			require.Equal(t, "kafka:"+events+"/0/0/0", x.Events[0].ID)
			continue
		}
		names = append(names, x.Spans[0].Name)
	}
	slices.Sort(names)
	require.Equal(t, []string{"after", "late", "traces"}, names)
	require.Empty(t, m.Degraded())
}

// The brokers may have deleted what a group has not read yet; it is counted, and reading goes on with what there is.
func TestExpiredMessages(t *testing.T) {
	b := shared(t, 1)
	b.produce(t, 0, numbered(t, 0, 0, 5)...)
	var got sink
	m := b.join(t, &got)
	b.requireCommitted(t, b.topic, 0, 5)
	m.leave()
	b.produce(t, 0, numbered(t, 0, 5, 10)...)
	b.deleteBefore(t, 0, 8)
	m = b.join(t, &got)
	b.requireCommitted(t, b.topic, 0, 10)
	require.Equal(t, append(spanNames(0, 0, 5), spanNames(0, 8, 10)...), got.names())
	require.Equal(t, 3.0, testutil.ToFloat64(m.metrics.expired.WithLabelValues(b.topic)))
}

// Encrypted and authenticated, in each way that the brokers offer; who they do not know is told so.
func TestSecureBroker(t *testing.T) {
	b := shared(t, 1)
	addr, ca := stacktest.Require(t, "SENTINEL_TEST_KAFKA_SECURE"), stacktest.Require(t, "SENTINEL_TEST_KAFKA_CA")
	b.produce(t, 0, append(numbered(t, 0, 0, 1), []byte{0xff})...)
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte("sentinel-stack\n"), 0o600))
	for _, mechanism := range []Mechanism{MechanismPlain, MechanismScramSHA256, MechanismScramSHA512} {
		t.Run(string(mechanism), func(t *testing.T) {
			var got sink
			group := b.topic + string(mechanism)
			m := b.join(t, &got, func(c *Config) {
				c.Brokers, c.Topics[0].Group = []string{addr}, group
				c.TLS = TLS{Enabled: true, CAFile: ca}
				c.SASL = SASL{Mechanism: mechanism, Username: "sentinel", PasswordFile: file}
			})
			b.requireCommitted(t, group, 0, 2)
			require.Equal(t, spanNames(0, 0, 1), got.names())
			require.Empty(t, m.Degraded())
		})
	}
	t.Run("wrong password", func(t *testing.T) {
		m := b.join(t, &sink{}, func(c *Config) {
			c.Brokers = []string{addr}
			c.TLS = TLS{Enabled: true, CAFile: ca}
			c.SASL = SASL{Mechanism: MechanismScramSHA512, Username: "sentinel", Password: "guess"}
		})
		require.Eventually(t, func() bool { return len(m.Degraded()) > 0 }, patience, 10*time.Millisecond)
		require.Contains(t, m.Degraded()[0].Reason, "SASL")
		require.NotContains(t, m.Degraded()[0].Reason, "guess")
	})
	t.Run("unknown authority", func(t *testing.T) {
		m := b.join(t, &sink{}, func(c *Config) {
			c.Brokers = []string{addr}
			c.TLS = TLS{Enabled: true}
			c.SASL = SASL{Mechanism: MechanismPlain, Username: "sentinel", Password: "sentinel-stack"}
		})
		require.Eventually(t, func() bool { return len(m.Degraded()) > 0 }, patience, 10*time.Millisecond)
		require.Contains(t, m.Degraded()[0].Reason, "certificate")
	})
}

// A source may be closed without being run.
func TestCloseWithoutRun(t *testing.T) {
	b := connect(t, "127.0.0.1:1")
	s, _ := newSource(t, b.config())
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
}

func TestCloseEndsRun(t *testing.T) {
	b := connect(t, "127.0.0.1:1")
	s, _ := newSource(t, b.config())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(context.Background(), &sink{}) }()
	require.Eventually(t, func() bool { return len(s.Degraded()) > 0 }, patience, 10*time.Millisecond)
	require.NoError(t, s.Close())
	require.NoError(t, <-ended)
}

func TestPartitionLabelsAreBounded(t *testing.T) {
	b := connect(t, "127.0.0.1:1")
	s, reg := newSource(t, b.config())
	defer func() { require.NoError(t, s.Close()) }()
	windows := map[place]*window{}
	for p := range 1000 {
		windows[place{b.topic, p}] = newWindow(int64(p))
		windows[place{b.topic, p}].extent(extent{0, int64(p) + 2})
	}
	s.groups[0].windows = windows
	n, err := testutil.GatherAndCount(reg, "sentinel_ingest_kafka_lag_messages")
	require.NoError(t, err)
	require.Equal(t, maxPartitionLabels+1, n)
}
