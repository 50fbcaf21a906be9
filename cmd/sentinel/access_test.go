package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/llm-sentinel/llm-sentinel/cmd/sentinel/app"
)

// Who can be reached from elsewhere asks for a key, on every port, unless the configuration says otherwise.
func TestServeAsksForKeysBeyondLoopback(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		host      string
		anonymous bool
		open      bool
	}{
		"all interfaces":            {host: "0.0.0.0", open: false},
		"all interfaces, anonymous": {host: "0.0.0.0", anonymous: true, open: true},
		"loopback":                  {host: "127.0.0.1", open: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := serve(t, func(cfg *app.Config) {
				cfg.DataDir = dir
				cfg.API.Listen, cfg.OTLP.GRPC, cfg.OTLP.HTTP = test.host+":0", test.host+":0", test.host+":0"
				cfg.API.AllowAnonymous = test.anonymous
			})
			s.reachByLoopback()
			keys := map[string]string{"": "", "unknown": "sk-sentinel-nobody-nothing"}
			for _, scope := range []string{"ingest", "read", "admin"} {
				keys[scope] = sentinel(t, "keys", "create", scope+"er", "--scope", scope, "--data-dir", dir)
			}
			body, err := marshalTraces(newTraffic("helpdesk", pastHour()).calls(1, 0, nil)[0])
			require.NoError(t, err)
			for scope, key := range keys {
				s.key = key
				sends := scope == "ingest" || scope == "admin" || scope == "" && test.open
				reads := scope == "read" || scope == "admin" || scope == "" && test.open
				want := func(allowed bool) int {
					switch {
					case allowed:
						return http.StatusOK
					case scope == "" || scope == "unknown":
						return http.StatusUnauthorized
					}
					return http.StatusForbidden
				}
				got, _, answer := s.do(t, http.MethodGet, s.api+"/api/v1/services", "", nil)
				require.Equal(t, want(reads), got, "read services with key %q: %s", scope, answer)
				got, _, answer = s.do(t, http.MethodPost, s.api+"/v1/traces", "application/x-protobuf", body)
				require.Equal(t, want(sends), got, "send to the API's port with key %q: %s", scope, answer)
				got, _, answer = s.do(t, http.MethodPost, s.otlp+"/v1/traces", "application/x-protobuf", body)
				if sends {
					require.Equal(t, http.StatusOK, got, "send over HTTP with key %q: %s", scope, answer)
				} else {
					require.Equal(t, http.StatusUnauthorized, got, "send over HTTP with key %q: %s", scope, answer)
				}
				require.Equal(t, sends, s.exportGRPC(t, body) == codes.OK, "send over gRPC with key %q", scope)
			}
			s.key = ""
			got, _, answer := s.do(t, http.MethodGet, s.api+"/api/v1/health", "", nil)
			require.Equal(t, http.StatusOK, got, "probes need no key")
			require.Equal(t, test.open, strings.Contains(string(answer), "shed"), "and see no details: %s", answer)
		})
	}
}

// reachByLoopback turns addresses that stand for every interface into one that can be dialled.
func (s *server) reachByLoopback() {
	for _, address := range []*string{&s.api, &s.otlp, &s.grpc} {
		*address = strings.NewReplacer("[::]", "127.0.0.1", "0.0.0.0", "127.0.0.1").Replace(*address)
	}
}

// exportGRPC sends a protobuf request over gRPC.
func (s *server) exportGRPC(t *testing.T, body []byte) codes.Code {
	t.Helper()
	conn, err := grpc.NewClient(s.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer func() { _ = conn.Close() }() // nothing is under way
	td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(body)
	require.NoError(t, err)
	ctx := t.Context()
	if s.key != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+s.key)
	}
	_, err = ptraceotlp.NewGRPCClient(conn).Export(ctx, ptraceotlp.NewExportRequestFromTraces(td))
	return status.Code(err)
}
