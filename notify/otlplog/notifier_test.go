package otlplog_test

import (
	"compress/gzip"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/notify"
	"github.com/llm-sentinel/llm-sentinel/notify/otlplog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// receiver is an OTLP receiver of logs over both protocols.
type receiver struct {
	plogotlp.UnimplementedGRPCServer
	got      []plog.Logs
	token    string
	rejected int64
	err      error
	status   int
}

func (r *receiver) Export(ctx context.Context, request plogotlp.ExportRequest) (plogotlp.ExportResponse, error) {
	if md, ok := metadata.FromIncomingContext(ctx); ok && len(md.Get("x-token")) == 1 {
		r.token = md.Get("x-token")[0]
	}
	response := plogotlp.NewExportResponse()
	if r.err != nil {
		return response, r.err
	}
	r.got = append(r.got, request.Logs())
	response.PartialSuccess().SetRejectedLogRecords(r.rejected)
	if r.rejected > 0 {
		response.PartialSuccess().SetErrorMessage("too old")
	}
	return response, nil
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if q.URL.Path != "/v1/logs" || q.Header.Get("Content-Type") != "application/x-protobuf" || q.Header.Get("Content-Encoding") != "gzip" {
		http.Error(w, "unexpected request", http.StatusBadRequest)
		return
	}
	if r.status != 0 {
		w.WriteHeader(r.status)
		return
	}
	r.token = q.Header.Get("X-Token")
	zip, err := gzip.NewReader(q.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	body, _ := io.ReadAll(zip)
	request := plogotlp.NewExportRequest()
	if err := request.UnmarshalProto(body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	response, _ := r.Export(q.Context(), request)
	out, _ := response.MarshalProto()
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(out)
}

func (r *receiver) start(t *testing.T, protocol string) *otlplog.Notifier {
	t.Helper()
	cfg := otlplog.DefaultConfig()
	cfg.Protocol, cfg.Headers = protocol, notify.Headers{"X-Token": "t"}
	if protocol == otlplog.ProtocolHTTP {
		server := httptest.NewServer(r)
		t.Cleanup(server.Close)
		cfg.Endpoint = server.URL + "/v1/logs"
	} else {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		server := grpc.NewServer()
		plogotlp.RegisterGRPCServer(server, r)
		go func() { _ = server.Serve(listener) }()
		t.Cleanup(server.Stop)
		cfg.Endpoint, cfg.Insecure = listener.Addr().String(), true
	}
	n, err := otlplog.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Close()) })
	return n
}

func tell(t *testing.T, n *otlplog.Notifier, a engine.Alert) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return n.Notify(ctx, a)
}

func TestAlertIsAnEvaluationResultInEachOfItsTraces(t *testing.T) {
	for _, protocol := range []string{otlplog.ProtocolHTTP, otlplog.ProtocolGRPC} {
		t.Run(protocol, func(t *testing.T) {
			r := &receiver{}
			n := r.start(t, protocol)
			a := notify.Sample(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))
			in := &a.Incident
			in.Traces = []engine.TraceID{{15: 1}, {15: 2}, {15: 3}}
			in.Evidence = &engine.Evidence{Abnormal: &engine.Example{TraceID: in.Traces[0], SpanID: engine.SpanID{7: 7}}}
			in.Explanation.Citations[0].TraceID, in.Explanation.Citations[0].SpanID = in.Traces[1].String(), "0000000000000008"
			require.NoError(t, tell(t, n, a))
			require.Equal(t, "t", r.token)
			require.Len(t, r.got, 1)
			resource := r.got[0].ResourceLogs().At(0)
			service, _ := resource.Resource().Attributes().Get("service.name")
			require.Equal(t, "llm-sentinel", service.Str())
			records := resource.ScopeLogs().At(0).LogRecords()
			require.Equal(t, 3, records.Len())
			for i := range records.Len() {
				record := records.At(i)
				require.Equal(t, "gen_ai.evaluation.result", record.EventName())
				require.Equal(t, in.Traces[i].String(), record.TraceID().String())
				require.Equal(t, []string{"0000000000000007", "0000000000000008", ""}[i], record.SpanID().String())
				require.Equal(t, plog.SeverityNumberError, record.SeverityNumber())
				require.Equal(t, map[string]any{
					"gen_ai.evaluation.name":        "latency_spike",
					"gen_ai.evaluation.score.value": 1.8,
					"gen_ai.evaluation.score.label": "anomalous",
					"gen_ai.evaluation.explanation": in.Explanation.Summary,
					"sentinel.alert_id":             notify.AlertID(a.ID),
					"sentinel.incident_id":          in.ID,
					"sentinel.severity":             "high",
					"sentinel.status":               "open",
					"sentinel.change":               "raised",
					"sentinel.affected_services":    []any{"sentinel-test"},
				}, record.Attributes().AsRaw())
			}

			in.Traces, in.Status = nil, engine.StatusResolved
			require.NoError(t, tell(t, n, a))
			record := r.got[1].ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
			require.True(t, record.TraceID().IsEmpty())
			label, _ := record.Attributes().Get("gen_ai.evaluation.score.label")
			require.Equal(t, "resolved", label.Str())

			r.rejected = 1
			err := tell(t, n, a)
			require.ErrorContains(t, err, "too old")
			require.True(t, engine.IsPermanent(err), "a partial success is not sent again")
		})
	}
}

func TestWhatIsTriedAgain(t *testing.T) {
	t.Run("http", func(t *testing.T) {
		for code, permanent := range map[int]bool{400: true, 401: true, 404: true, 408: true, 500: true, 429: false, 502: false, 503: false, 504: false} {
			r := &receiver{status: code}
			err := tell(t, r.start(t, otlplog.ProtocolHTTP), notify.Sample(time.Now()))
			require.Error(t, err)
			require.Equal(t, permanent, engine.IsPermanent(err), code)
		}
	})
	t.Run("grpc", func(t *testing.T) {
		for code, permanent := range map[codes.Code]bool{
			codes.InvalidArgument: true, codes.Unauthenticated: true, codes.Unimplemented: true, codes.ResourceExhausted: true, codes.Internal: true,
			codes.Unavailable: false, codes.Aborted: false, codes.DataLoss: false, codes.OutOfRange: false,
		} {
			r := &receiver{err: status.Error(code, "no")}
			err := tell(t, r.start(t, otlplog.ProtocolGRPC), notify.Sample(time.Now()))
			require.Error(t, err)
			require.Equal(t, permanent, engine.IsPermanent(err), code)
		}
		s, err := status.New(codes.ResourceExhausted, "full").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(9 * time.Second)})
		require.NoError(t, err)
		r := &receiver{err: s.Err()}
		err = tell(t, r.start(t, otlplog.ProtocolGRPC), notify.Sample(time.Now()))
		require.False(t, engine.IsPermanent(err))
		var later *engine.Error
		require.ErrorAs(t, err, &later)
		require.Equal(t, 9*time.Second, later.RetryAfter)
	})
	t.Run("nobody there", func(t *testing.T) {
		for _, cfg := range []otlplog.Config{
			{Protocol: otlplog.ProtocolHTTP, Endpoint: "http://127.0.0.1:1/v1/logs"}, {Protocol: otlplog.ProtocolGRPC, Endpoint: "127.0.0.1:1", Insecure: true},
		} {
			n, err := otlplog.New(cfg)
			require.NoError(t, err)
			err = tell(t, n, notify.Sample(time.Now()))
			require.Error(t, err)
			require.False(t, engine.IsPermanent(err))
			require.NoError(t, n.Close())
		}
	})
}

func TestConfigIsChecked(t *testing.T) {
	for want, cfg := range map[string]otlplog.Config{
		"endpoint: must be an http or https URL":  {Protocol: "http/protobuf"},
		"endpoint: must be host:port":             {Protocol: "grpc", Endpoint: "collector"},
		`protocol: "udp" is none of`:              {Protocol: "udp"},
		"insecure: is of gRPC":                    {Protocol: "http/protobuf", Endpoint: "http://x", Insecure: true},
		"headers: Content-Encoding cannot be set": {Protocol: "grpc", Endpoint: "x:1", Headers: notify.Headers{"Content-Encoding": "x"}},
		"tls: cert_file and key_file go together": {Protocol: "grpc", Endpoint: "x:1", TLS: notify.TLS{KeyFile: "x"}},
	} {
		_, err := otlplog.New(cfg)
		require.ErrorContains(t, err, want)
	}
}
