package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// screeningConfig leaves the semantic tier the traces that something flagged.
const screeningConfig = `
engine:
  sample_rate: 0
  sampling:
    closer_rate: 0
    min_rate: 0
`

// startSentinel starts Sentinel as `serve` does, on ports of its own and with its state in dir.
func startSentinel(ctx context.Context, program, dir, config string) (*server, error) {
	otlp, err := freeAddr(ctx)
	if err != nil {
		return &server{}, err
	}
	api, err := freeAddr(ctx)
	if err != nil {
		return &server{}, err
	}
	file, err := writeConfig(dir, "sentinel.yaml", fmt.Sprintf("data_dir: data\nlog: {level: WARN}\napi: {listen: %s}\notlp: {grpc: %s, http: \"\"}\n%s", api, otlp, config))
	if err != nil {
		return &server{}, err
	}
	s := &server{name: "Sentinel", otlp: otlp, metrics: "http://" + api + "/metrics", taken: "sentinel_engine_spans_total", mallocs: "go_memstats_mallocs_total"}
	return s, s.start(ctx, serverCore, dir, program, "serve", "--config", file)
}

// startCollector starts a Collector that throws away what it batched.
func startCollector(ctx context.Context, program, dir string) (*server, error) {
	otlp, err := freeAddr(ctx)
	if err != nil {
		return &server{}, err
	}
	metrics, err := freeAddr(ctx)
	if err != nil {
		return &server{}, err
	}
	file, err := writeConfig(dir, "collector.yaml", fmt.Sprintf(`
receivers: {otlp: {protocols: {grpc: {endpoint: %q, max_recv_msg_size_mib: 16}}}}
processors: {batch: {}}
exporters: {nop: {}}
service:
  pipelines: {traces: {receivers: [otlp], processors: [batch], exporters: [nop]}}
  telemetry:
    logs: {level: warn}
    metrics: {readers: [{pull: {exporter: {prometheus: {host: 127.0.0.1, port: %s}}}}]}
`, otlp, metrics[strings.LastIndexByte(metrics, ':')+1:]))
	if err != nil {
		return &server{}, err
	}
	s := &server{name: "Collector", otlp: otlp, metrics: "http://" + metrics + "/metrics", taken: "otelcol_receiver_accepted_spans"}
	return s, s.start(ctx, serverCore, dir, program, "--config", file)
}

func writeConfig(dir, name, text string) (string, error) {
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return "", fmt.Errorf("write %s: %w", name, err)
	}
	return file, nil
}
