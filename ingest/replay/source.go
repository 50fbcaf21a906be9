package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/ingest/genai"
)

// Config says what to replay.
type Config struct {
	Files           []string `yaml:"files"` // in this order; "-" is standard input
	MaxRequestBytes int      `yaml:"max_request_bytes"`
	// Strict ends the replay at the first request that cannot be read. Otherwise it is logged, and the replay goes on.
	Strict bool `yaml:"strict"`
}

// DefaultConfig replays nothing.
func DefaultConfig() Config { return Config{MaxRequestBytes: DefaultMaxRequestBytes} }

// Validate reports the first setting that makes no sense.
func (c Config) Validate() error {
	if c.MaxRequestBytes < 1 {
		return engine.Errorf(engine.CodeInvalid, "replay: max_request_bytes is %d, want at least 1", c.MaxRequestBytes)
	}
	return nil
}

// Source replays files, one after the other, as fast as the engine takes them. It is an [engine.Source].
type Source struct {
	cfg    Config
	mapper *genai.Mapper
	log    *slog.Logger
}

var _ engine.Source = (*Source)(nil)

// New makes a source.
func New(cfg Config, mapper *genai.Mapper, log *slog.Logger) (*Source, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Source{cfg: cfg, mapper: mapper, log: log.With("component", "ingest/replay")}, nil
}

// Run hands over all requests and returns, or stops early when ctx ends.
func (s *Source) Run(ctx context.Context, next engine.Sink) error {
	for _, file := range s.cfg.Files {
		if err := s.file(ctx, file, next); err != nil {
			return err
		}
	}
	return nil
}

func (s *Source) file(ctx context.Context, path string, next engine.Sink) error {
	r, err := Open(path, s.cfg.MaxRequestBytes)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	var spans, refused, unreadable int
	for {
		if ctx.Err() != nil {
			return nil
		}
		rec, err := r.Next()
		var bad *RecordError
		switch {
		case errors.Is(err, io.EOF):
			s.log.Info("replayed", "file", r.name, "spans", spans, "refused", refused, "unreadable_requests", unreadable)
			return nil
		case errors.As(err, &bad) && !s.cfg.Strict:
			unreadable++
			s.log.Warn("request skipped", "file", bad.File, "line", bad.Line, "code", engine.ErrorCode(err))
			continue
		case err != nil:
			return err
		}
		now := time.Now()
		batch, rejected := s.batch(rec, now)
		spans += len(batch.Spans)
		refused += len(rejected)
		for _, x := range rejected {
			s.log.Debug("record refused", "file", r.name, "line", rec.Line, "reason", x.Reason)
		}
		if len(batch.Spans)+len(batch.Contents)+len(batch.Evaluations) == 0 {
			continue
		}
		if err := handOver(ctx, next, batch); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("replay: %s:%d: %w", r.name, rec.Line, err)
		}
	}
}

func (s *Source) batch(rec Record, now time.Time) (engine.Batch, []genai.Rejection) {
	traces, logs := s.mapper.Spans(rec.Traces, now), s.mapper.Logs(rec.Logs, now)
	return engine.Batch{Spans: traces.Spans, Contents: logs.Contents, Evaluations: logs.Evaluations},
		append(traces.Rejected, logs.Rejected...)
}

// handOver waits as long as the engine is full.
func handOver(ctx context.Context, next engine.Sink, batch engine.Batch) error {
	const patience = 100 * time.Millisecond // when the engine does not say how long
	for {
		err := next.Consume(ctx, batch)
		if engine.ErrorCode(err) != engine.CodeFull {
			return err
		}
		wait := patience
		var full *engine.Error
		if errors.As(err, &full) && full.RetryAfter > 0 {
			wait = full.RetryAfter
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}
