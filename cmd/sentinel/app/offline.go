package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Offline judges traces against a baseline by the pipeline that serves, without a server and without leaving anything behind.
type Offline struct {
	app *App
	dir string
}

// offlineConfig fits the configuration to files: they hold less history than a service sees in an hour, all of it is to be
// looked at, and nothing is shed.
func offlineConfig(cfg Config, dir string) Config {
	cfg.DataDir = dir
	cfg.Store.Path, cfg.Memory.Path = "sentinel.db", ":memory:"
	cfg.Engine.SampleRate = 1
	cfg.Engine.SemanticQueue = 1 << 20
	cfg.Engine.DrainTimeout = 24 * time.Hour
	cfg.Engine.Evidence.MaxServices = max(cfg.Engine.Evidence.MaxServices, 1024)
	cfg.Trajectory.MinRuns = min(cfg.Trajectory.MinRuns, 10)
	cfg.Semantic.MinTexts = min(cfg.Semantic.MinTexts, 50)
	cfg.Semantic.MinScores = min(cfg.Semantic.MinScores, 40)
	return cfg
}

// NewOffline makes a pipeline that has learnt nothing.
func NewOffline(ctx context.Context, cfg Config, log *slog.Logger) (*Offline, error) {
	dir, err := os.MkdirTemp("", "sentinel-offline-")
	if err != nil {
		return nil, fmt.Errorf("offline: %w", err)
	}
	cfg = offlineConfig(cfg, dir)
	o := &Offline{app: &App{cfg: cfg, log: log, registry: prometheus.NewRegistry()}, dir: dir}
	if err := cfg.Validate(); err != nil {
		return nil, errors.Join(err, o.Close())
	}
	if o.app.pipeline, err = o.app.newPipeline(ctx, nil); err != nil {
		return nil, errors.Join(err, o.Close())
	}
	return o, nil
}

// Learn takes spans as what is normal. It may be called once.
func (o *Offline) Learn(ctx context.Context, spans []engine.Span) error {
	slices.SortStableFunc(spans, func(a, b engine.Span) int { return a.End.Compare(b.End) })
	run, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- o.app.pipeline.Run(run) }()
	const batch = 500
	for start := 0; start < len(spans); start += batch {
		b := engine.Batch{Spans: spans[start:min(start+batch, len(spans))]}
		if err := consume(ctx, o.app.pipeline, b); err != nil {
			stop()
			return errors.Join(err, <-done)
		}
	}
	// A pipeline that is stopped before it has begun takes nothing.
	for !o.app.Idle() {
		select {
		case err := <-done:
			stop()
			return errors.Join(err, ctx.Err())
		case <-time.After(time.Millisecond):
		}
	}
	stop()
	if err := <-done; err != nil {
		return err
	}
	o.app.pipeline.Settle(ctx)
	return ctx.Err()
}

// consume hands a batch over and waits while the pipeline is full.
func consume(ctx context.Context, sink engine.Sink, b engine.Batch) error {
	for {
		err := sink.Consume(ctx, b)
		if engine.ErrorCode(err) != engine.CodeFull {
			return err
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Score judges one trace and teaches nothing.
func (o *Offline) Score(ctx context.Context, t engine.Trace) (engine.Verdict, error) {
	return o.app.pipeline.Score(ctx, t)
}

// Close removes what was kept for the time being.
func (o *Offline) Close() error { return errors.Join(o.app.Close(), os.RemoveAll(o.dir)) }
