package qdrant_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	client "github.com/qdrant/go-client/qdrant"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/llm-sentinel/llm-sentinel/deploy/stack/stacktest"
	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/retrieval/qdrant"
)

// Nothing has to be done by hand when the server comes up after the service.
func TestServerMayComeLater(t *testing.T) {
	stacktest.Require(t, "SENTINEL_TEST_QDRANT")
	server := stacktest.Own(t, "qdrant")
	cfg := qdrant.DefaultConfig()
	cfg.Address = server.Value(t, "SENTINEL_TEST_QDRANT")
	server.Stop(t)
	m := open(t, cfg)
	for range 3 {
		_, err := m.Nearest(t.Context(), all)
		require.Equal(t, engine.CodeUnavailable, engine.ErrorCode(err), "%v", err)
	}
	server.Start(t)
	require.Eventually(t, func() bool { return m.Remember(t.Context(), memos(2)) == nil }, time.Minute, 10*time.Millisecond)
}

// A server that takes the connection and never answers must not hold calls for ever.
func TestSilentServerTimesOut(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	cfg := qdrant.DefaultConfig()
	cfg.Address, cfg.Timeout = listener.Addr().String(), 50*time.Millisecond
	m := open(t, cfg)
	err = m.Remember(t.Context(), memos(1))
	require.Equal(t, engine.CodeUnavailable, engine.ErrorCode(err), "%v", err)
	require.ErrorContains(t, err, "remember 1 memos in normal user_prompt")
}

// points answers searches of those who know its key, collections refuses writers with a status of its choice.
type (
	points struct {
		client.UnimplementedPointsServer
		key string
	}
	refusing struct {
		client.UnimplementedCollectionsServer
		code codes.Code
	}
)

func (p points) Query(ctx context.Context, _ *client.QueryPoints) (*client.QueryResponse, error) {
	sent, _ := metadata.FromIncomingContext(ctx)
	if got := sent.Get("api-key"); len(got) != 1 || got[0] != p.key {
		return nil, status.Error(codes.Unauthenticated, "invalid api key")
	}
	return &client.QueryResponse{}, nil
}

func (r refusing) Get(context.Context, *client.GetCollectionInfoRequest) (*client.GetCollectionInfoResponse, error) {
	return nil, status.Error(r.code, "refused")
}

func serve(t *testing.T, key string, refusal codes.Code, options ...grpc.ServerOption) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer(options...)
	client.RegisterPointsServer(server, points{key: key})
	client.RegisterCollectionsServer(server, refusing{code: refusal})
	done := make(chan error)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		require.NoError(t, <-done)
	})
	return listener.Addr().String()
}

// certificate is one for 127.0.0.1 that is its own authority, and the file to trust it by.
func certificate(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "qdrant"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}), 0o600))
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}, file
}

func TestKeyAndCertificateAreUsed(t *testing.T) {
	cert, authority := certificate(t)
	cfg := qdrant.DefaultConfig()
	cfg.Address = serve(t, "right", codes.OK, grpc.Creds(credentials.NewServerTLSFromCert(&cert)))
	cfg.TLS, cfg.APIKey = qdrant.TLS{Enabled: true, CAFile: authority}, "right"
	found, err := open(t, cfg).Nearest(t.Context(), all)
	require.NoError(t, err)
	require.Empty(t, found)

	wrong := cfg
	wrong.APIKey = "hidden"
	_, err = open(t, wrong).Nearest(t.Context(), all)
	require.Equal(t, engine.CodeUnavailable, engine.ErrorCode(err))
	require.ErrorContains(t, err, "invalid api key")
	require.NotContains(t, err.Error(), "hidden")

	distrustful := cfg
	distrustful.TLS.CAFile = ""
	_, err = open(t, distrustful).Nearest(t.Context(), all)
	require.Equal(t, engine.CodeUnavailable, engine.ErrorCode(err))
	require.ErrorContains(t, err, "certificate")

	empty := cfg
	empty.TLS.CAFile = filepath.Join(t.TempDir(), "empty.pem")
	require.NoError(t, os.WriteFile(empty.TLS.CAFile, nil, 0o600))
	require.NoError(t, empty.Validate())
}

func TestRefusalsAreClassed(t *testing.T) {
	for refusal, want := range map[codes.Code]engine.Code{
		codes.Unavailable: engine.CodeUnavailable, codes.ResourceExhausted: engine.CodeUnavailable, codes.PermissionDenied: engine.CodeUnavailable,
		codes.Internal: engine.CodeInternal, codes.InvalidArgument: engine.CodeInternal,
	} {
		cfg := qdrant.DefaultConfig()
		cfg.Address = serve(t, "", refusal)
		require.Equal(t, want, engine.ErrorCode(open(t, cfg).Remember(t.Context(), memos(1))), refusal)
	}
}

func TestClosedMemoryIsUnavailable(t *testing.T) {
	cfg := qdrant.DefaultConfig()
	cfg.Address = serve(t, "", codes.OK)
	m := open(t, cfg)
	require.NoError(t, m.Close())
	require.Equal(t, engine.CodeUnavailable, engine.ErrorCode(m.Remember(t.Context(), memos(1))))
}

func TestCheckSaysWhetherTheServerCanBeUsed(t *testing.T) {
	cfg := config(t)
	require.NoError(t, qdrant.Check(t.Context(), cfg))
	require.Empty(t, collections(t, cfg), "it changes nothing")
	cfg.Address = "127.0.0.1:1"
	err := qdrant.Check(t.Context(), cfg)
	require.Equal(t, engine.CodeUnavailable, engine.ErrorCode(err), "%v", err)
	require.ErrorContains(t, err, "127.0.0.1:1")
	cfg.Prefix = ""
	require.Equal(t, engine.CodeInvalid, engine.ErrorCode(qdrant.Check(t.Context(), cfg)))
}
