package main

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/deploy/stack/stacktest"
)

// An unmodified OpenTelemetry SDK points at the service, and the service knows the application. What exactly arrives is tested where
// it is mapped, in ingest/otlp.
func TestServeKnowsARealClient(t *testing.T) {
	t.Parallel()
	environments := stacktest.Require(t, "SENTINEL_CLIENT_VENVS")
	ollama := stacktest.Require(t, "SENTINEL_OLLAMA_URL")
	s := serve(t, nil)
	for protocol, endpoint := range map[string]string{"grpc": "http://" + s.grpc, "http/protobuf": s.otlp} {
		program := exec.CommandContext(t.Context(), filepath.Join(environments, "openai_v2", "bin", "python"),
			filepath.Join("..", "..", "ingest", "otlp", "testdata", "clients", "openai_v2.py"),
			"--endpoint", endpoint, "--protocol", protocol, "--base-url", ollama+"/v1")
		said, err := program.Output()
		require.NoError(t, err, "%s", said)
		require.True(t, json.Valid(said))
	}
	eventually(t, "sight of both runs", func() bool { return s.service(t, "client-openai-v2").Spans == 4 })
}
