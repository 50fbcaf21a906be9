package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/llm-sentinel/llm-sentinel/embed/builtin"
	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/evals"
	"github.com/llm-sentinel/llm-sentinel/evals/agentruns"
	"github.com/llm-sentinel/llm-sentinel/evals/custom"
	"github.com/llm-sentinel/llm-sentinel/evals/embedding"
	"github.com/llm-sentinel/llm-sentinel/evals/explanations"
	"github.com/llm-sentinel/llm-sentinel/evals/groundedness"
	"github.com/llm-sentinel/llm-sentinel/evals/prompts"
	"github.com/llm-sentinel/llm-sentinel/evals/relevance"
	"github.com/llm-sentinel/llm-sentinel/evals/retrieval"
	"github.com/llm-sentinel/llm-sentinel/evals/scenarios"
	"github.com/llm-sentinel/llm-sentinel/evals/timeseries"
	"github.com/llm-sentinel/llm-sentinel/evals/topics"
	"github.com/llm-sentinel/llm-sentinel/evals/traces"
	"github.com/llm-sentinel/llm-sentinel/explain"
	"github.com/llm-sentinel/llm-sentinel/ingest/genai"
)

// What the suites are handed is what serves.
var (
	_ agentruns.Pipeline    = (*Offline)(nil)
	_ custom.Pipeline       = (*Offline)(nil)
	_ groundedness.Pipeline = (*Offline)(nil)
	_ prompts.Pipeline      = (*Offline)(nil)
	_ relevance.Pipeline    = (*Offline)(nil)
	_ scenarios.Pipeline    = (*Offline)(nil)
	_ topics.Pipeline       = (*Offline)(nil)
	_ traces.Pipeline       = (*Offline)(nil)
)

// SuiteOptions are what the configuration does not say of the suites.
type SuiteOptions struct {
	Days   int    // simulated days of scenarios; 0 is the suite's default
	Notes  int    // notes that a language model writes; 0 is one for each incident of these days
	Folder string // for vectors while they are measured
	Logger *slog.Logger
}

// Suites are the offline suites over the parts that the configuration chooses, in the order in which they are run. A model server that
// it names is used: its embedder is what texts are compared by and what the built-in one is measured against, and its language model
// writes notes beside the deterministic ones.
func Suites(ctx context.Context, cfg Config, opt SuiteOptions) (_ []evals.Suite, release func(), err error) {
	release = func() {}
	static, err := builtin.New()
	if err != nil {
		return nil, release, err
	}
	embeddings := embedding.Parts{Embedder: static}
	parts := suiteParts{cfg: cfg, opt: opt}
	if parts.shared, err = newRemote(cfg.Embed, opt.Logger); err != nil {
		return nil, release, err
	}
	if parts.shared != nil {
		release = func() { _ = parts.shared.close() } // it only drops idle connections
		if err := parts.shared.connect(ctx); err != nil {
			return nil, release, err
		}
		embeddings.Reference = parts.shared
	}
	notes, days, err := stories(parts)
	if err != nil {
		return nil, release, err
	}
	local := parts // topics are followed by the built-in embedder; a model server would take hours to embed what the others look at
	local.cfg.Embed.Provider, local.shared = EmbedBuiltin, nil
	short := parts
	short.cfg = shortHistory(cfg)
	return []evals.Suite{
		timeseries.New(timeseries.Screening),
		prompts.New(pipelines[prompts.Pipeline](parts)),
		groundedness.New(pipelines[groundedness.Pipeline](parts)),
		relevance.New(pipelines[relevance.Pipeline](parts)),
		agentruns.New(pipelines[agentruns.Pipeline](parts)),
		topics.New(topics.Parts{Open: pipelines[topics.Pipeline](local).Fresh}),
		traces.New(traces.Parts{Open: pipelines[traces.Pipeline](short).Fresh}),
		days,
		notes,
		retrieval.New(retrieval.Parts{Embedder: static, Backends: parts.memories()}),
		embedding.New(embeddings),
	}, release, nil
}

// CustomSuite reads a suite that a user wrote.
func CustomSuite(path string, cfg Config, opt SuiteOptions) (evals.Suite, error) {
	parts := suiteParts{cfg: cfg, opt: opt}
	s, err := custom.Load(path, custom.Parts{
		Parts:  pipelines[custom.Pipeline](parts),
		Series: func() (custom.Detector, error) { return timeseries.Screening() },
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// suiteParts makes what the suites are handed.
type suiteParts struct {
	cfg    Config
	opt    SuiteOptions
	shared *remote
}

// pipelines makes what serves, as a suite sees it.
func pipelines[P io.Closer](s suiteParts) evals.Parts[P] {
	restore := func(ctx context.Context, saved []byte) (P, error) {
		o, err := newOffline(ctx, OfflineConfig(s.cfg), s.shared, saved, s.opt.Logger)
		if err != nil {
			var none P
			return none, err
		}
		return any(o).(P), nil
	}
	return evals.Parts[P]{Fresh: func(ctx context.Context) (P, error) { return restore(ctx, nil) }, Restore: restore}
}

// shortHistory fits the configuration to recordings of minutes: docs/evals/traces.md says why each setting is as it is.
func shortHistory(cfg Config) Config {
	cfg.Screen.Window, cfg.Engine.Surges.Window = 30*time.Second, 30*time.Second
	cfg.Screen.LatencyExcess = 20 * time.Millisecond
	in := &cfg.Engine.Incidents
	in.MinTraces, in.Settle, in.ReraiseWithin = 2, 0, 0
	in.GroupGap, in.ResolveAfter = 2*time.Minute, 2*time.Minute
	return cfg
}

// stories makes the suites that play scenarios; both look at the same days.
func stories(s suiteParts) (*explanations.Suite, *scenarios.Suite, error) {
	cfg, opt := s.cfg, s.opt
	mapper, err := genai.New(cfg.Limits)
	if err != nil {
		return nil, nil, err
	}
	live := func(ctx context.Context) (scenarios.Pipeline, error) {
		c := cfg
		c.Engine.SemanticQueue = 1 << 16 // a day at once: nothing of it is to be shed
		c.Explain.LLM.Provider = explain.ProviderNone
		c.Embed.Provider = EmbedBuiltin // some 100,000 texts: hours of a model server
		return NewOffline(ctx, c, nil, opt.Logger)
	}
	runner, err := scenarios.NewRunner(scenarios.Parts{
		Open: live, Window: cfg.Screen.Window, Days: opt.Days,
		Decode: func(at time.Time, td ptrace.Traces, ld plog.Logs) engine.Batch {
			spans, logs := mapper.Spans(td, at), mapper.Logs(ld, at)
			return engine.Batch{Spans: spans.Spans, Contents: append(spans.Contents, logs.Contents...)}
		},
	})
	if err != nil {
		return nil, nil, err
	}
	computed := cfg.Explain
	computed.LLM.Provider = explain.ProviderNone
	parts := explanations.Parts{Runner: runner, ModelNotes: opt.Notes}
	if parts.Deterministic, err = explain.New(computed, nil, prometheus.NewRegistry(), opt.Logger); err != nil {
		return nil, nil, err
	}
	chat, err := newChat(cfg.Explain.LLM)
	if err != nil {
		return nil, nil, err
	}
	if chat != nil {
		writer, err := explain.New(cfg.Explain, chat, prometheus.NewRegistry(), opt.Logger)
		if err != nil {
			return nil, nil, err
		}
		parts.Models = []explanations.Model{{Name: fmt.Sprintf("%s-%s", cfg.Explain.LLM.Provider, cfg.Explain.LLM.Model), Explainer: writer}}
	}
	notes, err := explanations.New(parts)
	if err != nil {
		return nil, nil, err
	}
	days, err := scenarios.New(runner)
	return notes, days, err
}
