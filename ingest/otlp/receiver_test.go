package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	grpcgzip "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/ingest/genai"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memorySink keeps what it is given, or answers err.
type memorySink struct {
	mu      sync.Mutex
	batches []engine.Batch
	err     error
}

func (s *memorySink) Consume(_ context.Context, b engine.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	s.batches = append(s.batches, b)
	return nil
}

func (s *memorySink) spans() (out []engine.Span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.batches {
		out = append(out, b.Spans...)
	}
	return out
}

type setup struct {
	change    func(*Config)
	authorize Authorize
}

func newReceiver(t testing.TB, s setup) (*Receiver, *prometheus.Registry) {
	t.Helper()
	cfg := DefaultConfig()
	cfg.GRPC, cfg.HTTP, cfg.MaxBodyBytes, cfg.DrainTimeout = "127.0.0.1:0", "127.0.0.1:0", 1<<20, 5*time.Second
	if s.change != nil {
		s.change(&cfg)
	}
	mapper, err := genai.New(genai.DefaultLimits())
	require.NoError(t, err)
	reg := prometheus.NewRegistry()
	r, err := New(cfg, mapper, s.authorize, slog.New(slog.DiscardHandler), reg)
	require.NoError(t, err)
	return r, reg
}

// run starts the receiver and returns a function that stops it and waits.
func run(t *testing.T, r *Receiver, next engine.Sink) (stop func()) {
	t.Helper()
	_, stop = start(t, r, next)
	return stop
}

// start is run with a function that only asks the receiver to stop.
func start(t *testing.T, r *Receiver, next engine.Sink) (cancel, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx, next) }()
	select {
	case <-r.Ready():
	case err := <-done:
		require.NoError(t, err)
	}
	stop = sync.OnceFunc(func() { cancel(); require.NoError(t, <-done) })
	t.Cleanup(stop)
	return cancel, stop
}

func traces(n int) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "checkout")
	spans := rs.ScopeSpans().AppendEmpty().Spans()
	for i := range n {
		s := spans.AppendEmpty()
		s.SetTraceID(pcommon.TraceID{1})
		s.SetSpanID(pcommon.SpanID{byte(i + 1), byte(i >> 8)})
		s.SetName("chat m")
		s.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now().Add(-time.Second)))
		s.SetEndTimestamp(pcommon.NewTimestampFromTime(time.Now()))
		s.Attributes().PutStr("gen_ai.operation.name", "chat")
	}
	return td
}

func marshal(t testing.TB, enc encoding, req exportResponse) []byte {
	t.Helper()
	var body []byte
	var err error
	if enc == encodingProto {
		body, err = req.MarshalProto()
	} else {
		body, err = req.MarshalJSON()
	}
	require.NoError(t, err)
	return body
}

func zipped(t testing.TB, body []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	zw := gzip.NewWriter(&out)
	_, err := zw.Write(body)
	require.NoError(t, err)
	require.NoError(t, zw.Close())
	return out.Bytes()
}

func post(t testing.TB, h http.Handler, path string, body []byte, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	return rec
}

func TestHTTPTakesBothEncodingsPlainAndZipped(t *testing.T) {
	for _, enc := range []encoding{encodingProto, encodingJSON} {
		for _, zip := range []bool{false, true} {
			r, reg := newReceiver(t, setup{})
			sink := &memorySink{}
			body := marshal(t, enc, ptraceotlp.NewExportRequestFromTraces(traces(2)))
			header := []string{"Content-Type", string(enc) + "; charset=utf-8"}
			if zip {
				body, header = zipped(t, body), append(header, "Content-Encoding", "gzip")
			}
			rec := post(t, r.Handler(sink), "/v1/traces", body, header...)
			require.Equal(t, http.StatusOK, rec.Code, rec.Body.String())
			require.Equal(t, string(enc), rec.Header().Get("Content-Type"))
			require.Len(t, sink.spans(), 2)
			require.Equal(t, "checkout", sink.spans()[0].Service)
			require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP sentinel_ingest_spans_total Spans accepted.
# TYPE sentinel_ingest_spans_total counter
sentinel_ingest_spans_total 2
`), "sentinel_ingest_spans_total"))
		}
	}
}

func TestLogsAndMetrics(t *testing.T) {
	r, reg := newReceiver(t, setup{})
	sink := &memorySink{}
	h := r.Handler(sink)

	ld := plog.NewLogs()
	records := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	rec := records.AppendEmpty()
	rec.SetEventName("gen_ai.user.message")
	rec.SetTraceID(pcommon.TraceID{1})
	rec.SetSpanID(pcommon.SpanID{2})
	rec.Body().SetEmptyMap().PutStr("content", "hi")
	records.AppendEmpty().Body().SetStr("an application's own log line")
	bad := records.AppendEmpty()
	bad.SetEventName("gen_ai.user.message")
	resp := post(t, h, "/v1/logs", marshal(t, encodingJSON, plogotlp.NewExportRequestFromLogs(ld)), "Content-Type", string(encodingJSON))
	require.Equal(t, http.StatusOK, resp.Code)
	require.Contains(t, resp.Body.String(), `"rejectedLogRecords":"1"`)
	require.Contains(t, resp.Body.String(), "trace_id is empty")
	require.Equal(t, "hi", sink.batches[0].Contents[0].Input[0].Text())

	md := pmetric.NewMetrics()
	md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty().SetEmptyGauge().DataPoints().AppendEmpty().SetIntValue(1)
	resp = post(t, h, "/v1/metrics", marshal(t, encodingProto, pmetricotlp.NewExportRequestFromMetrics(md)), "Content-Type", string(encodingProto))
	require.Equal(t, http.StatusOK, resp.Code)
	require.Len(t, sink.batches, 1)
	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP sentinel_ingest_skipped_total Log records and metric points that hold nothing for Sentinel.
# TYPE sentinel_ingest_skipped_total counter
sentinel_ingest_skipped_total{signal="logs"} 1
sentinel_ingest_skipped_total{signal="metrics"} 1
`), "sentinel_ingest_skipped_total"))
}

// A bad span in a good batch costs that span alone, and the answer says which field was wrong.
func TestPartialSuccess(t *testing.T) {
	r, reg := newReceiver(t, setup{})
	sink := &memorySink{}
	td := traces(7)
	spans := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
	for i := range 5 {
		spans.At(i).SetStartTimestamp(0)
	}
	rec := post(t, r.Handler(sink), "/v1/traces", marshal(t, encodingProto, ptraceotlp.NewExportRequestFromTraces(td)), "Content-Type", string(encodingProto))
	require.Equal(t, http.StatusOK, rec.Code)
	resp := ptraceotlp.NewExportResponse()
	require.NoError(t, resp.UnmarshalProto(rec.Body.Bytes()))
	require.EqualValues(t, 5, resp.PartialSuccess().RejectedSpans())
	require.Contains(t, resp.PartialSuccess().ErrorMessage(), "record 0 (span 0100000000000000): start_time_unix_nano is 0; ")
	require.Contains(t, resp.PartialSuccess().ErrorMessage(), "and 2 more")
	require.Len(t, sink.spans(), 2)
	require.Equal(t, 5.0, metricValue(t, reg, "sentinel_ingest_rejected_total", "start_time"))
}

func metricValue(t *testing.T, reg *prometheus.Registry, name, label string) float64 {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && m.GetLabel()[0].GetValue() == label {
				return m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("no %s{%s}", name, label)
	return 0
}

func TestBadRequestsAreRefusedInTheirOwnEncoding(t *testing.T) {
	good := marshal(t, encodingProto, ptraceotlp.NewExportRequestFromTraces(traces(1)))
	deep := []byte(`{"resourceSpans":[{"resource":{"attributes":[{"key":"k","value":` + strings.Repeat(`{"arrayValue":{"values":[`, 20000))
	for _, c := range []struct {
		name, contentType, encoding string
		body                        []byte
		code                        int
		message                     string
	}{
		{"malformed protobuf", string(encodingProto), "", good[:len(good)-3], 400, "malformed protobuf"},
		{"malformed JSON", string(encodingJSON), "", []byte(`{"resourceSpans":[{`), 400, "malformed JSON"},
		{"JSON behind the request", string(encodingJSON), "", []byte(`{} {}`), 400, "malformed JSON"},
		{"not an object", string(encodingJSON), "", []byte(`null`), 400, "want an object"},
		{"wrong type in JSON", string(encodingJSON), "", []byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"zz"}]}]}]}`), 400, "traceId"},
		{"nesting without end", string(encodingJSON), "", deep, 400, "malformed JSON"},
		{"empty JSON", string(encodingJSON), "", nil, 400, "malformed JSON"},
		{"unknown content type", "text/plain", "", good, 415, "text/plain"},
		{"no content type", "", "", good, 415, "want application/x-protobuf or application/json"},
		{"unknown content encoding", string(encodingProto), "br", good, 415, `content encoding "br"`},
		{"bad gzip", string(encodingProto), "gzip", good, 400, "malformed gzip"},
		{"truncated gzip", string(encodingProto), "gzip", zipped(t, good)[:40], 400, "malformed gzip"},
		{"oversized", string(encodingProto), "", make([]byte, 1<<20+1), 413, "1048576 bytes"},
		{"zip bomb", string(encodingProto), "gzip", zipped(t, make([]byte, 64<<20)), 413, "1048576 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, _ := newReceiver(t, setup{})
			sink := &memorySink{}
			rec := post(t, r.Handler(sink), "/v1/traces", c.body, "Content-Type", c.contentType, "Content-Encoding", c.encoding)
			require.Equal(t, c.code, rec.Code)
			st := &spb.Status{}
			if c.contentType == string(encodingProto) {
				require.Equal(t, string(encodingProto), rec.Header().Get("Content-Type"))
				require.NoError(t, proto.Unmarshal(rec.Body.Bytes(), st))
			} else {
				require.Equal(t, string(encodingJSON), rec.Header().Get("Content-Type"))
				require.NoError(t, protojson.Unmarshal(rec.Body.Bytes(), st))
			}
			require.EqualValues(t, codes.InvalidArgument, st.GetCode())
			require.Contains(t, st.GetMessage(), c.message)
			require.Empty(t, sink.batches)
			require.Empty(t, rec.Header().Get("Retry-After"), "no retry cures this")
		})
	}
}

func TestOnlyPOST(t *testing.T) {
	r, _ := newReceiver(t, setup{})
	rec := httptest.NewRecorder()
	r.Handler(&memorySink{}).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/v1/traces", nil))
	require.Equal(t, http.StatusMethodNotAllowed, rec.Code)
}

func TestSinkErrorsReachTheClient(t *testing.T) {
	body := marshal(t, encodingProto, ptraceotlp.NewExportRequestFromTraces(traces(1)))
	for _, c := range []struct {
		err   error
		http  int
		retry string
		grpc  codes.Code
		delay time.Duration
	}{
		{&engine.Error{Code: engine.CodeFull, Message: "queue is full", RetryAfter: 1500 * time.Millisecond}, 429, "2", codes.Unavailable, 1500 * time.Millisecond},
		{engine.Errorf(engine.CodeUnavailable, "starting"), 503, "5", codes.Unavailable, 5 * time.Second},
		{context.DeadlineExceeded, 503, "5", codes.Unavailable, 5 * time.Second},
		{engine.Errorf(engine.CodeInvalid, "no"), 400, "", codes.InvalidArgument, 0},
		{errors.New("secret detail"), 500, "", codes.Internal, 0},
	} {
		r, _ := newReceiver(t, setup{})
		sink := &memorySink{err: c.err}
		rec := post(t, r.Handler(sink), "/v1/traces", body, "Content-Type", string(encodingProto))
		require.Equal(t, c.http, rec.Code)
		require.Equal(t, c.retry, rec.Header().Get("Retry-After"))
		require.NotContains(t, rec.Body.String(), "secret detail")

		stop := run(t, r, sink)
		_, err := ptraceotlp.NewGRPCClient(dial(t, r)).Export(t.Context(), ptraceotlp.NewExportRequestFromTraces(traces(1)))
		st := status.Convert(err)
		require.Equal(t, c.grpc, st.Code())
		require.NotContains(t, st.Message(), "secret detail")
		var delay time.Duration
		for _, d := range st.Details() {
			if info, ok := d.(*errdetails.RetryInfo); ok {
				delay = info.GetRetryDelay().AsDuration()
			}
		}
		require.Equal(t, c.delay, delay)
		stop()
	}
}

func dial(t *testing.T, r *Receiver, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	addr, _ := r.Addrs()
	if len(options) == 0 {
		options = append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))
	}
	conn, err := grpc.NewClient(addr.String(), options...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestGRPC(t *testing.T) {
	r, reg := newReceiver(t, setup{})
	sink := &memorySink{}
	run(t, r, sink)
	conn := dial(t, r)

	client := ptraceotlp.NewGRPCClient(conn)
	for range 2 { // the same request twice is two deliveries: deduplication is not the receiver's
		_, err := client.Export(t.Context(), ptraceotlp.NewExportRequestFromTraces(traces(1)), grpc.UseCompressor(grpcgzip.Name))
		require.NoError(t, err)
	}
	require.Len(t, sink.spans(), 2)

	td := traces(2)
	td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).SetTraceID(pcommon.TraceID{})
	resp, err := client.Export(t.Context(), ptraceotlp.NewExportRequestFromTraces(td))
	require.NoError(t, err)
	require.EqualValues(t, 1, resp.PartialSuccess().RejectedSpans())

	big := traces(1)
	big.ResourceSpans().At(0).Resource().Attributes().PutStr("k", strings.Repeat("x", 2<<20))
	_, err = client.Export(t.Context(), ptraceotlp.NewExportRequestFromTraces(big), grpc.UseCompressor(grpcgzip.Name))
	require.Equal(t, codes.ResourceExhausted, status.Code(err))
	require.Empty(t, status.Convert(err).Details(), "without RetryInfo the client gives up")

	ld := plog.NewLogs()
	rec := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	rec.SetEventName("gen_ai.evaluation.result")
	rec.SetTraceID(pcommon.TraceID{1})
	rec.Attributes().PutStr("gen_ai.evaluation.name", "relevance")
	_, err = plogotlp.NewGRPCClient(conn).Export(t.Context(), plogotlp.NewExportRequestFromLogs(ld))
	require.NoError(t, err)
	require.Equal(t, "relevance", sink.batches[len(sink.batches)-1].Evaluations[0].Name)

	_, err = pmetricotlp.NewGRPCClient(conn).Export(t.Context(), pmetricotlp.NewExportRequest())
	require.NoError(t, err)
	require.Equal(t, 3.0, testutil.ToFloat64(r.metrics.requests.WithLabelValues(protocolGRPC, signalTraces, codeOK)))
	_, err = reg.Gather()
	require.NoError(t, err)
}

func TestKeysAreAskedForOnBothProtocols(t *testing.T) {
	r, _ := newReceiver(t, setup{authorize: func(_ context.Context, remote, key string) error {
		require.NotEmpty(t, remote)
		if key != "secret" {
			return engine.Errorf(engine.CodeUnauthorized, "an API key with the scope ingest is needed")
		}
		return nil
	}})
	sink := &memorySink{}
	run(t, r, sink)
	body := marshal(t, encodingProto, ptraceotlp.NewExportRequestFromTraces(traces(1)))
	for _, c := range []struct {
		header, value string
		ok            bool
	}{
		{"Authorization", "Bearer secret", true}, {"Authorization", "bearer  secret ", true}, {"X-API-Key", "secret", true},
		{"Authorization", "Bearer wrong", false}, {"Authorization", "Basic secret", false}, {"X-Other", "secret", false},
	} {
		rec := post(t, r.Handler(sink), "/v1/traces", body, "Content-Type", string(encodingProto), c.header, c.value)
		ctx := metadata.AppendToOutgoingContext(t.Context(), c.header, c.value)
		_, err := ptraceotlp.NewGRPCClient(dial(t, r)).Export(ctx, ptraceotlp.NewExportRequestFromTraces(traces(1)))
		if c.ok {
			require.Equal(t, http.StatusOK, rec.Code)
			require.NoError(t, err)
		} else {
			require.Equal(t, http.StatusUnauthorized, rec.Code)
			require.Equal(t, "Bearer", rec.Header().Get("WWW-Authenticate"))
			require.Equal(t, codes.Unauthenticated, status.Code(err))
		}
	}
}

// blockingSink holds every batch until it is released.
type blockingSink struct {
	entered, release chan struct{}
}

func (s blockingSink) Consume(context.Context, engine.Batch) error {
	s.entered <- struct{}{}
	<-s.release
	return nil
}

func TestBusyReceiverSendsClientsAwayAndDrainsOnStop(t *testing.T) {
	r, _ := newReceiver(t, setup{change: func(c *Config) { c.MaxRequests = 1 }})
	sink := blockingSink{entered: make(chan struct{}), release: make(chan struct{})}
	cancel, stop := start(t, r, sink)
	_, addr := r.Addrs()
	body := marshal(t, encodingProto, ptraceotlp.NewExportRequestFromTraces(traces(1)))
	url := "http://" + addr.String() + "/v1/traces"
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	first := make(chan int, 1)
	go func() {
		resp, err := client.Post(url, string(encodingProto), bytes.NewReader(body))
		if err != nil {
			first <- 0
			return
		}
		_ = resp.Body.Close()
		first <- resp.StatusCode
	}()
	<-sink.entered
	resp, err := client.Post(url, string(encodingProto), bytes.NewReader(body))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusTooManyRequests, resp.StatusCode)
	require.Equal(t, "1", resp.Header.Get("Retry-After"))

	cancel()
	close(sink.release)
	require.Equal(t, http.StatusOK, <-first, "a request under way is finished before the receiver stops")
	stop()
}

func TestListenersCanBeDisabledAndFailClearly(t *testing.T) {
	r, _ := newReceiver(t, setup{change: func(c *Config) { c.GRPC = "" }})
	run(t, r, &memorySink{})
	g, h := r.Addrs()
	require.Nil(t, g)

	taken, _ := newReceiver(t, setup{change: func(c *Config) { c.HTTP = h.String() }})
	require.ErrorContains(t, taken.Run(t.Context(), &memorySink{}), "otlp: listen on "+h.String())
}

func TestTLS(t *testing.T) {
	cert, key := selfSigned(t)
	r, _ := newReceiver(t, setup{change: func(c *Config) { c.TLS = TLS{cert, key} }})
	sink := &memorySink{}
	run(t, r, sink)
	pool := x509.NewCertPool()
	raw, err := os.ReadFile(cert)
	require.NoError(t, err)
	require.True(t, pool.AppendCertsFromPEM(raw))
	conf := &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}

	_, err = ptraceotlp.NewGRPCClient(dial(t, r, grpc.WithTransportCredentials(credentials.NewTLS(conf)))).
		Export(t.Context(), ptraceotlp.NewExportRequestFromTraces(traces(1)))
	require.NoError(t, err)
	_, addr := r.Addrs()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: conf, DisableKeepAlives: true}}
	resp, err := client.Post("https://"+addr.String()+"/v1/traces", string(encodingProto),
		bytes.NewReader(marshal(t, encodingProto, ptraceotlp.NewExportRequestFromTraces(traces(1)))))
	require.NoError(t, err)
	_, _ = io.Copy(io.Discard, resp.Body)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Len(t, sink.spans(), 2)

	cfg := DefaultConfig()
	cfg.TLS = TLS{"missing.pem", "missing.pem"}
	_, err = New(cfg, nil, nil, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	require.ErrorContains(t, err, "otlp: load TLS certificate missing.pem")
}

func selfSigned(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	keyDER, err := x509.MarshalECPrivateKey(key)
	require.NoError(t, err)
	certFile, keyFile = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	require.NoError(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}), 0o600))
	return certFile, keyFile
}

func TestDecodeTraces(t *testing.T) {
	body := marshal(t, encodingJSON, ptraceotlp.NewExportRequestFromTraces(traces(3)))
	limit := len(body)
	td, err := DecodeTraces("application/json", "gzip", zipped(t, body), limit)
	require.NoError(t, err)
	require.Equal(t, 3, td.SpanCount())
	for _, c := range []struct{ contentType, encoding string }{{"text/csv", ""}, {"application/json", "gzip"}, {"application/x-protobuf", ""}} {
		_, err = DecodeTraces(c.contentType, c.encoding, body, limit)
		require.Equal(t, engine.CodeInvalid, engine.ErrorCode(err))
	}
	for encoding, sent := range map[string][]byte{"": body, "gzip": zipped(t, body)} {
		_, err = DecodeTraces("application/json", encoding, sent, limit-1)
		require.Equal(t, engine.CodeTooLarge, engine.ErrorCode(err), "encoding %q", encoding)
	}
}

func TestConfigIsValidated(t *testing.T) {
	for _, change := range []func(*Config){
		func(c *Config) { c.GRPC = "4317" }, func(c *Config) { c.MaxBodyBytes = 0 }, func(c *Config) { c.MaxRequests = 0 },
		func(c *Config) { c.DrainTimeout = 0 }, func(c *Config) { c.TLS.CertFile = "x" },
	} {
		cfg := DefaultConfig()
		change(&cfg)
		require.Equal(t, engine.CodeInvalid, engine.ErrorCode(cfg.Validate()))
	}
	require.NoError(t, DefaultConfig().Validate())
}
