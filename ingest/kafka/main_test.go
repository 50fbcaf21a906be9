package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	kafkago "github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/goleak"

	"github.com/llm-sentinel/llm-sentinel/deploy/stack/stacktest"
	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/ingest/genai"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = time.Minute

// broker is a broker of the stack and one topic of a test's own on it.
type broker struct {
	addr  string
	topic string
	*kafkago.Client
}

// newBroker makes a topic with a name that no other test has.
func newBroker(t testing.TB, addr string, partitions int) *broker {
	t.Helper()
	b := connect(t, addr)
	b.createTopic(t, b.topic, partitions)
	return b
}

// connect makes no topic.
func connect(t testing.TB, addr string) *broker {
	t.Helper()
	transport := &kafkago.Transport{MetadataTTL: time.Second}
	t.Cleanup(transport.CloseIdleConnections)
	name := strings.NewReplacer("/", "-", " ", "-").Replace(t.Name())
	return &broker{
		addr:   addr,
		topic:  fmt.Sprintf("%s-%d-%d", name, os.Getpid(), time.Now().UnixNano()),
		Client: &kafkago.Client{Addr: kafkago.TCP(addr), Transport: transport, Timeout: 10 * time.Second},
	}
}

func shared(t testing.TB, partitions int) *broker {
	t.Helper()
	return newBroker(t, stacktest.Require(t, "SENTINEL_TEST_KAFKA"), partitions)
}

func (b *broker) createTopic(t testing.TB, name string, partitions int, settings ...kafkago.ConfigEntry) {
	t.Helper()
	res, err := b.CreateTopics(t.Context(), &kafkago.CreateTopicsRequest{Topics: []kafkago.TopicConfig{
		{Topic: name, NumPartitions: partitions, ReplicationFactor: 1, ConfigEntries: settings}}})
	require.NoError(t, err)
	require.NoError(t, res.Errors[name])
	// What is known of topics is a second old at most.
	require.Eventually(t, func() bool {
		res, err := b.Metadata(t.Context(), &kafkago.MetadataRequest{Topics: []string{name}})
		return err == nil && len(res.Topics) == 1 && len(res.Topics[0].Partitions) == partitions
	}, patience, 50*time.Millisecond)
}

// produce writes messages to one partition, in order.
func (b *broker) produce(t testing.TB, partition int, values ...[]byte) {
	t.Helper()
	messages := make([]kafkago.Message, len(values))
	for i, v := range values {
		messages[i].Value = v
	}
	b.produceTo(t, b.topic, partition, 0, messages...)
}

func (b *broker) produceTo(t testing.TB, topic string, partition int, codec kafkago.Compression, messages ...kafkago.Message) {
	t.Helper()
	for chunk := range slices.Chunk(messages, 100) {
		// A topic may be so new, or a broker so fresh, that the partition has no leader yet.
		require.Eventually(t, func() bool { return b.write(t.Context(), topic, partition, codec, chunk) == nil }, patience, 20*time.Millisecond)
	}
}

func (b *broker) write(ctx context.Context, topic string, partition int, codec kafkago.Compression, messages []kafkago.Message) error {
	records := make([]kafkago.Record, len(messages))
	for i, m := range messages {
		records[i] = kafkago.Record{Key: kafkago.NewBytes(m.Key), Value: kafkago.NewBytes(m.Value), Headers: m.Headers}
	}
	res, err := b.Produce(ctx, &kafkago.ProduceRequest{Topic: topic, Partition: partition, RequiredAcks: kafkago.RequireAll,
		Compression: codec, Records: kafkago.NewRecordReader(records...)})
	if err != nil {
		return err
	}
	return res.Error
}

// committed returns the group's offset of a partition, -1 for none.
func (b *broker) committed(t testing.TB, group string, partition int) int64 {
	t.Helper()
	return b.committedOf(t, group, b.topic, partition)
}

func (b *broker) committedOf(t testing.TB, group, topic string, partition int) (offset int64) {
	t.Helper()
	require.Eventually(t, func() bool { // a broker that has just come back is not ready to say
		var err error
		offset, err = b.fetchOffset(t.Context(), group, topic, partition)
		return err == nil
	}, patience, 20*time.Millisecond)
	return offset
}

func (b *broker) fetchOffset(ctx context.Context, group, topic string, partition int) (int64, error) {
	res, err := b.OffsetFetch(ctx, &kafkago.OffsetFetchRequest{GroupID: group, Topics: map[string][]int{topic: {partition}}})
	switch {
	case err != nil:
		return 0, err
	case res.Error != nil:
		return 0, res.Error
	case len(res.Topics[topic]) == 0:
		return 0, errors.New("no answer for the topic")
	}
	return res.Topics[topic][0].CommittedOffset, res.Topics[topic][0].Error
}

func (b *broker) requireCommitted(t testing.TB, group string, partition int, want int64) {
	t.Helper()
	got := int64(-1)
	for end := time.Now().Add(patience); got != want && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
		got = b.committed(t, group, partition)
	}
	require.Equal(t, want, got, "committed offset of %s/%d", group, partition)
}

// deleteBefore makes the broker delete a partition's messages below an offset: the request DeleteRecords, which kafka-go does not
// have, in version 1.
func (b *broker) deleteBefore(t testing.TB, partition int, offset int64) {
	t.Helper()
	text := func(to []byte, s string) []byte {
		return append(binary.BigEndian.AppendUint16(to, uint16(len(s))), s...)
	}
	request := binary.BigEndian.AppendUint16(nil, 21)
	request = binary.BigEndian.AppendUint16(request, 1)
	request = text(binary.BigEndian.AppendUint32(request, 7), "test")
	request = text(binary.BigEndian.AppendUint32(request, 1), b.topic)
	request = binary.BigEndian.AppendUint32(request, 1)
	request = binary.BigEndian.AppendUint32(request, uint32(partition))
	request = binary.BigEndian.AppendUint64(request, uint64(offset))
	request = binary.BigEndian.AppendUint32(request, 5000)
	conn, err := net.Dial("tcp", b.addr)
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(request))), request...))
	require.NoError(t, err)
	var size uint32
	require.NoError(t, binary.Read(conn, binary.BigEndian, &size))
	response := make([]byte, size)
	_, err = io.ReadFull(conn, response)
	require.NoError(t, err)
	require.Zero(t, binary.BigEndian.Uint16(response[size-2:]), "error code")
}

// consume reads n messages of a topic from its start, without a group.
func (b *broker) consume(t testing.TB, topic string, n int) []kafkago.Message {
	t.Helper()
	r := kafkago.NewReader(kafkago.ReaderConfig{Brokers: []string{b.addr}, Topic: topic, MaxWait: 100 * time.Millisecond})
	defer r.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out []kafkago.Message
	for range n {
		m, err := r.FetchMessage(ctx)
		require.NoError(t, err)
		out = append(out, m)
	}
	return out
}

// member is a source that runs.
type member struct {
	*Source
	t        testing.TB
	registry *prometheus.Registry
	cancel   func()
	stopped  chan error
}

func (b *broker) config(change ...func(*Config)) Config {
	cfg := DefaultConfig()
	cfg.Brokers = []string{b.addr}
	cfg.Topics = []Topic{{Name: b.topic, Group: b.topic}}
	cfg.CommitInterval, cfg.SessionTimeout = 20*time.Millisecond, 3*time.Second
	for _, c := range change {
		c(&cfg)
	}
	return cfg
}

func newSource(t testing.TB, cfg Config) (*Source, *prometheus.Registry) {
	t.Helper()
	mapper, err := genai.New(genai.DefaultLimits())
	require.NoError(t, err)
	reg := prometheus.NewPedanticRegistry()
	log := slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo})).With("test", t.Name())
	}
	s, err := New(cfg, mapper, log, reg)
	require.NoError(t, err)
	return s, reg
}

// join runs a source until the test ends, or stop or crash is called.
func (b *broker) join(t testing.TB, next engine.Sink, change ...func(*Config)) *member {
	t.Helper()
	s, reg := newSource(t, b.config(change...))
	ctx, cancel := context.WithCancel(context.Background())
	m := &member{Source: s, t: t, registry: reg, cancel: cancel, stopped: make(chan error, 1)}
	go func() { m.stopped <- s.Run(ctx, next) }()
	t.Cleanup(m.leave)
	return m
}

// stop ends Run; the source is still a member of its group.
func (m *member) stop() {
	m.t.Helper()
	m.cancel()
	err := <-m.stopped
	m.stopped <- err
	require.NoError(m.t, err)
}

// leave ends Run and closes the source.
func (m *member) leave() {
	m.t.Helper()
	m.stop()
	require.NoError(m.t, m.Close())
}

// sink keeps batches. Their effects are stored at once, or when the test says so.
type sink struct {
	mu      sync.Mutex
	batches []engine.Batch
	hold    bool
	answer  func(engine.Batch) error // of Consume; may be nil
	verdict func(engine.Batch) error // of Done; may be nil
}

func (s *sink) Consume(_ context.Context, b engine.Batch) error {
	s.mu.Lock()
	if s.answer != nil {
		if err := s.answer(b); err != nil {
			s.mu.Unlock()
			return err
		}
	}
	s.batches = append(s.batches, b)
	hold, verdict := s.hold, s.verdict
	s.mu.Unlock()
	if !hold {
		var err error
		if verdict != nil {
			err = verdict(b)
		}
		b.Done(err)
	}
	return nil
}

func (s *sink) taken() []engine.Batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]engine.Batch(nil), s.batches...)
}

// names returns the names of the first spans of all batches, in order.
func (s *sink) names() (out []string) {
	for _, b := range s.taken() {
		out = append(out, b.Spans[0].Name)
	}
	return out
}

func (s *sink) requireLen(t testing.TB, n int) []engine.Batch {
	t.Helper()
	require.Eventually(t, func() bool { return len(s.taken()) >= n }, patience, 5*time.Millisecond, "want %d batches", n)
	require.Len(t, s.taken(), n)
	return s.taken()
}

// request is an OTLP request with one span.
func request(name string) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "checkout")
	s := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	s.SetTraceID(pcommon.TraceID{1})
	s.SetSpanID(pcommon.SpanID{2})
	s.SetName(name)
	s.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now().Add(-time.Second)))
	s.SetEndTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	s.Attributes().PutStr("gen_ai.operation.name", "chat")
	return td
}

func proto(t testing.TB, td ptrace.Traces) []byte {
	t.Helper()
	body, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	require.NoError(t, err)
	return body
}

// numbered returns messages whose spans are named for a partition and their offsets.
func numbered(t testing.TB, partition, from, to int) [][]byte {
	t.Helper()
	var out [][]byte
	for i := from; i < to; i++ {
		out = append(out, proto(t, request(spanName(partition, i))))
	}
	return out
}

func spanName(partition, offset int) string { return fmt.Sprintf("%d/%d", partition, offset) }

func spanNames(partition, from, to int) (out []string) {
	for i := from; i < to; i++ {
		out = append(out, spanName(partition, i))
	}
	return out
}

var (
	errStoreDown = &engine.Error{Code: engine.CodeUnavailable, Message: "the store does not answer"}
	errHopeless  = engine.Permanent(errors.New("no such table"))
)
