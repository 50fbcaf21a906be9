package app

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Offline is the pipeline that serves, without its doors and without leaving anything behind: it judges recorded telemetry.
type Offline struct {
	app *App
	dir string
}

// OfflineConfig fits the configuration to files: they hold less history than a service sees in an hour, all of it is to be
// looked at, and nothing is shed.
func OfflineConfig(cfg Config) Config {
	cfg.Engine.SampleRate = 1
	cfg.Engine.SemanticQueue = 1 << 20
	cfg.Engine.Evidence.MaxServices = max(cfg.Engine.Evidence.MaxServices, 1024)
	cfg.Trajectory.MinRuns = min(cfg.Trajectory.MinRuns, 10)
	cfg.Semantic.Siblings = 0 // a file may hold the calm runs after the others
	cfg.Semantic.MinTexts = min(cfg.Semantic.MinTexts, 50)
	cfg.Semantic.MinScores = min(cfg.Semantic.MinScores, 40)
	cfg.Grounding.MinScores = min(cfg.Grounding.MinScores, 40)
	return cfg
}

// The files that hold what was learnt, in the folder of an Offline.
const (
	offlineStore  = "sentinel.db"
	offlineMemory = "memory.db"
)

// NewOffline makes a pipeline that knows what ships in the binary, and with saved what Save returned. Close must be called.
func NewOffline(ctx context.Context, cfg Config, saved []byte, log *slog.Logger) (*Offline, error) {
	return newOffline(ctx, cfg, nil, saved, log)
}

// newOffline shares the embedder behind a server with others, unless that is nil.
func newOffline(ctx context.Context, cfg Config, shared *remote, saved []byte, log *slog.Logger) (_ *Offline, err error) {
	dir, err := os.MkdirTemp("", "sentinel-offline-")
	if err != nil {
		return nil, fmt.Errorf("offline: %w", err)
	}
	cfg.DataDir, cfg.Memory.Provider, cfg.Memory.Embedded.Path = dir, MemoryEmbedded, offlineMemory
	cfg.Store.Driver, cfg.Store.SQLite.Path = StoreSQLite, offlineStore
	o := &Offline{app: &App{cfg: cfg, log: log, registry: prometheus.NewRegistry(), remote: shared, alone: true}, dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, o.Close())
		}
	}()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if saved != nil {
		if err := unpack(saved, dir, offlineStore, offlineMemory); err != nil {
			return nil, err
		}
	}
	if o.app.pipeline, err = o.app.newPipeline(ctx, nil); err != nil {
		return nil, err
	}
	if saved != nil { // reads back what was learnt
		err = o.app.pipeline.Replay(ctx, func(func(engine.Batch, error) bool) {})
	}
	return o, err
}

// Learn takes spans as what is normal.
func (o *Offline) Learn(ctx context.Context, spans []engine.Span) error {
	spans = slices.Clone(spans)
	slices.SortStableFunc(spans, func(a, b engine.Span) int { return a.End.Compare(b.End) })
	const batch = 500
	err := o.app.pipeline.Replay(ctx, func(yield func(engine.Batch, error) bool) {
		for part := range slices.Chunk(spans, batch) {
			if !yield(engine.Batch{Spans: part}, nil) {
				return
			}
		}
	})
	if err == nil {
		err = o.app.pipeline.Settle(ctx)
	}
	return o.whole(err)
}

// Attacks teaches known attacks. Of each memo the id, text, family and kind of the collection count; texts are redacted, cut and
// embedded as those of traces are.
func (o *Offline) Attacks(ctx context.Context, known []engine.Memo) error {
	return o.whole(o.app.pipeline.RememberAttacks(ctx, known))
}

// Findings is what each detector says of a trace by itself. It teaches nothing.
func (o *Offline) Findings(ctx context.Context, t engine.Trace) ([]engine.Finding, error) {
	findings, err := o.app.pipeline.Findings(ctx, t)
	return findings, o.whole(err)
}

// Score judges one trace and teaches nothing.
func (o *Offline) Score(ctx context.Context, t engine.Trace) (engine.Verdict, error) {
	v, err := o.app.pipeline.Score(ctx, t)
	return v, o.whole(err)
}

// whole adds to an error that texts were not embedded, in this call or an earlier one: figures without them would be of something else.
func (o *Offline) whole(err error) error {
	if o.app.patient == nil {
		return err
	}
	return errors.Join(err, o.app.patient.err())
}

// Play works off batches as they would have come in, in order, up to the last note.
func (o *Offline) Play(ctx context.Context, batches iter.Seq2[engine.Batch, error]) error {
	return o.whole(o.app.pipeline.Replay(ctx, batches))
}

// Incidents lists all incidents, by onset, with evidence and notes.
func (o *Offline) Incidents(ctx context.Context) ([]engine.Incident, error) {
	out, err := all(func(cursor string) (engine.Page[engine.Incident], error) {
		return o.app.store.Incidents(ctx, engine.IncidentQuery{Cursor: cursor, Limit: 1000})
	})
	if err != nil {
		return nil, err
	}
	for i := range out {
		if out[i], err = o.app.store.Incident(ctx, out[i].ID); err != nil {
			return nil, err
		}
	}
	slices.Reverse(out)
	return out, nil
}

// Anomalies lists all anomalies, by time.
func (o *Offline) Anomalies(ctx context.Context) ([]engine.Anomaly, error) {
	out, err := all(func(cursor string) (engine.Page[engine.Anomaly], error) {
		return o.app.store.Anomalies(ctx, engine.AnomalyQuery{Cursor: cursor, Limit: 1000})
	})
	slices.Reverse(out)
	return out, err
}

func all[T any](page func(cursor string) (engine.Page[T], error)) ([]T, error) {
	var out []T
	for cursor := ""; ; {
		p, err := page(cursor)
		if err != nil {
			return nil, err
		}
		out = append(out, p.Items...)
		if cursor = p.Next; cursor == "" {
			return out, nil
		}
	}
}

// Save returns all that was learnt, for NewOffline. It ends the pipeline: only Close may follow.
func (o *Offline) Save(context.Context) ([]byte, error) {
	if err := o.app.Close(); err != nil {
		return nil, err
	}
	return pack(filepath.Join(o.dir, offlineStore), filepath.Join(o.dir, offlineMemory))
}

// Close removes what was kept for the time being.
func (o *Offline) Close() error { return errors.Join(o.app.Close(), os.RemoveAll(o.dir)) }
