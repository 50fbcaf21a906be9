// Package app is the embeddable runtime: it wires the rooms by configuration, runs them, and stops them in order. The command
// line and the end-to-end tests use it alike.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/llm-sentinel/llm-sentinel/api"
	"github.com/llm-sentinel/llm-sentinel/api/hook"
	"github.com/llm-sentinel/llm-sentinel/embed/builtin"
	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/engine/grounding"
	"github.com/llm-sentinel/llm-sentinel/engine/response"
	"github.com/llm-sentinel/llm-sentinel/engine/screen"
	"github.com/llm-sentinel/llm-sentinel/engine/security"
	"github.com/llm-sentinel/llm-sentinel/engine/semantic"
	"github.com/llm-sentinel/llm-sentinel/engine/topic"
	"github.com/llm-sentinel/llm-sentinel/engine/trajectory"
	"github.com/llm-sentinel/llm-sentinel/explain"
	"github.com/llm-sentinel/llm-sentinel/explain/langchain"
	explainollama "github.com/llm-sentinel/llm-sentinel/explain/ollama"
	"github.com/llm-sentinel/llm-sentinel/explain/openai"
	"github.com/llm-sentinel/llm-sentinel/ingest/genai"
	"github.com/llm-sentinel/llm-sentinel/ingest/otlp"
	"github.com/llm-sentinel/llm-sentinel/ingest/redact"
	"github.com/llm-sentinel/llm-sentinel/notify"
	"github.com/llm-sentinel/llm-sentinel/retrieval/attack"
)

// App is a whole Sentinel in one process.
type App struct {
	cfg      Config
	version  string
	log      *slog.Logger
	started  time.Time
	ready    atomic.Bool
	registry *prometheus.Registry
	mapper   *genai.Mapper
	store    Store
	pipeline *engine.Pipeline
	receiver *otlp.Receiver
	sources  []source           // beside the receiver
	alerts   *notify.Dispatcher // nil when nobody is to be told of anything
	server   *api.Server
	stream   *api.Hub
	remote   *remote // the embedder behind a server; nil for none
	alone    bool    // no embedder stands in for that one
	patient  *patient
	closers  []func() error // in order of opening
}

// Options are what the configuration file does not say.
type Options struct {
	Version string
	Logger  *slog.Logger
	Observe func(engine.Alert) // told of every change of an incident once it is stored; may be nil
}

// New opens what is kept on disk and wires all parts; nothing listens or runs before Run. Close must be called when Run is not.
func New(ctx context.Context, cfg Config, opt Options) (_ *App, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	a := &App{cfg: cfg, version: opt.Version, log: opt.Logger, started: time.Now(), registry: prometheus.NewRegistry(), stream: api.NewHub()}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	a.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("data_dir: %w", err)
	}
	if a.pipeline, err = a.newPipeline(ctx, func(alert engine.Alert) {
		if alert.Anomaly != nil {
			return // of no interest to who watches incidents
		}
		a.stream.Notify(alert)
		if opt.Observe != nil {
			opt.Observe(alert)
		}
	}); err != nil {
		return nil, err
	}
	auth, err := api.NewAuthenticator(a.store, cfg.API.KeysRequired(cfg.OTLP.GRPC) || cfg.API.KeysRequired(cfg.OTLP.HTTP), a.log)
	if err != nil {
		return nil, err
	}
	authorize := func(ctx context.Context, remote, bearer string) error {
		return auth.Authorize(api.WithRemote(ctx, remote), bearer, engine.ScopeIngest)
	}
	if a.receiver, err = otlp.New(cfg.OTLP, a.mapper, authorize, a.log, a.registry); err != nil {
		return nil, err
	}
	if err := a.openSources(); err != nil {
		return nil, err
	}
	if a.alerts, err = a.newDispatcher(); err != nil {
		return nil, err
	}
	hooks, err := hook.New(cfg.Hooks)
	if err != nil {
		return nil, err
	}
	var dead engine.DeadLetters
	if a.alerts != nil {
		dead = a.store
	}
	a.server, err = api.New(cfg.API, api.Deps{
		Scorer: a.pipeline, Sink: a.pipeline, Decoder: decoder{a.mapper, int(cfg.API.MaxBodyBytes)}, Listing: a.store, Lifecycle: a.pipeline,
		Feedbacks: a.pipeline, Trends: a.pipeline, Services: a.pipeline, Health: a, Keys: a.store, OTLP: a.receiver.Handler(a.pipeline),
		Markers: a.store, Hooks: hooks, Stream: a.stream, DeadLetters: dead,
		Gatherer: a.registry, Registerer: a.registry,
	}, a.log)
	return a, err
}

func (a *App) newPipeline(ctx context.Context, observe func(engine.Alert)) (*engine.Pipeline, error) {
	cfg := a.cfg
	var err error
	if a.mapper, err = genai.New(cfg.Limits); err != nil {
		return nil, err
	}
	redactor, err := redact.New(cfg.Redact)
	if err != nil {
		return nil, err
	}
	if a.store, err = OpenStore(ctx, cfg, a.log); err != nil {
		return nil, err
	}
	a.closers = append(a.closers, a.store.Close)
	memories, err := a.openMemories(ctx)
	if err != nil {
		return nil, err
	}
	a.registry.MustRegister(counter("sentinel_store_deliveries_dropped_total", "Dead deliveries that were forgotten because there were too many.", a.store.DroppedDeliveries))
	static, err := builtin.New()
	if err != nil {
		return nil, err
	}
	lenses, err := a.lenses(ctx, memories, static)
	if err != nil {
		return nil, err
	}
	screener, err := screen.New(cfg.Screen, a.registry)
	if err != nil {
		return nil, err
	}
	screener.UseShelf(a.store)
	workflow, err := workflowDetectors(cfg, redactor)
	if err != nil {
		return nil, err
	}
	relevant, err := grounding.NewRetrieval(cfg.Grounding, static)
	if err != nil {
		return nil, err
	}
	novelty, err := semantic.NewNovelty(cfg.Semantic)
	if err != nil {
		return nil, err
	}
	seed, err := attack.Seed()
	if err != nil {
		return nil, err
	}
	jailbreak, err := semantic.NewJailbreak(cfg.Semantic, attack.Of(seed, engine.TextUserPrompt))
	if err != nil {
		return nil, err
	}
	injection, err := semantic.NewInjection(cfg.Semantic, attack.Of(seed, engine.TextDocument))
	if err != nil {
		return nil, err
	}
	topics, err := topic.New(cfg.Topics)
	if err != nil {
		return nil, err
	}
	events, err := security.New(cfg.Security, a.registry)
	if err != nil {
		return nil, err
	}
	chat, err := newChat(cfg.Explain.LLM)
	if err != nil {
		return nil, err
	}
	explainer, err := explain.New(cfg.Explain, chat, a.registry, a.log)
	if err != nil {
		return nil, err
	}
	var namer engine.TopicNamer
	var judge grounding.Judge
	if chat != nil {
		namer = explainer
		if cfg.Grounding.Judge {
			judge = explainer
		}
	}
	grounded, err := grounding.New(cfg.Grounding, judge)
	if err != nil {
		return nil, err
	}
	return engine.New(cfg.Engine, engine.Parts{
		Namer:    namer,
		Screener: screener,
		Workflow: workflow,
		Content:  []engine.Detector{grounded, relevant},
		// Novelty learns last: it remembers what the others compare with.
		Semantic:  []engine.Detector{jailbreak, injection, novelty},
		Lenses:    lenses,
		Redactor:  redactor,
		Explainer: explainer,
		Observe:   observe,
		Wake:      a.wake(),
		Events:    events,
		Topics:    topics,
		Journal:   a.store, Markers: a.store, Snapshots: a.store, EventLog: a.store, Backlog: a.store, Feedback: a.store, Records: a.store,
		Registry: a.registry,
		Logger:   a.log,
	})
}

// workflowDetectors look at every complete trace.
func workflowDetectors(cfg Config, redactor engine.Redactor) ([]engine.Detector, error) {
	loops, err := trajectory.New(cfg.Trajectory)
	if err != nil {
		return nil, err
	}
	exposure, err := response.NewExposure(cfg.Response, redactor)
	if err != nil {
		return nil, err
	}
	leak, err := response.NewLeak(cfg.Response)
	if err != nil {
		return nil, err
	}
	habits, err := response.NewHabits(cfg.Response)
	if err != nil {
		return nil, err
	}
	out := []engine.Detector{loops, exposure, leak}
	for _, h := range habits {
		out = append(out, h)
	}
	return out, nil
}

// wake is what the pipeline calls when alerts are stored; nil keeps none, since nobody is to be told of them.
func (a *App) wake() func() {
	if len(a.cfg.Notify.Receivers) == 0 {
		return nil
	}
	return func() { a.alerts.Wake() }
}

// memories are where vectors are kept: the embedded memory, and the one that the configuration chooses, which may be the same.
type memories struct {
	embedded, chosen Memory
}

func (a *App) openMemories(ctx context.Context) (memories, error) {
	own, err := openEmbedded(ctx, a.cfg, a.log)
	if err != nil {
		return memories{}, err
	}
	a.closers = append(a.closers, own.Close)
	m := memories{embedded: own, chosen: own}
	evicted := own.Evicted
	if a.cfg.Memory.Provider != MemoryEmbedded {
		if m.chosen, err = OpenMemory(ctx, a.cfg, a.log); err != nil {
			return memories{}, err
		}
		a.closers = append(a.closers, m.chosen.Close)
		evicted = func() uint64 { return own.Evicted() + m.chosen.Evicted() }
	}
	a.registry.MustRegister(counter("sentinel_retrieval_evicted_total", "Vectors forgotten because their collection was full.", evicted))
	return m, nil
}

// lenses pairs the embedder with the memory that the configuration chooses, and behind it, where that is another pair, the two that are in
// this process. Collections keep the models apart.
func (a *App) lenses(ctx context.Context, m memories, static *builtin.Embedder) (_ []engine.Lens, err error) {
	preferred := &pair{Embedder: static, Memory: m.chosen, connect: func(context.Context) error { return nil }}
	if a.remote == nil {
		if a.remote, err = newRemote(a.cfg.Embed, a.log); err != nil {
			return nil, err
		}
		if a.remote != nil {
			a.closers = append(a.closers, a.remote.close)
		}
	}
	if a.remote != nil {
		r := a.remote
		a.registry.MustRegister(
			counter("sentinel_embed_cache_hits_total", "Texts whose vector was remembered.", func() uint64 { return r.Stats().Hits }),
			counter("sentinel_embed_cache_misses_total", "Texts that the embedder was asked for.", func() uint64 { return r.Stats().Misses }),
			counter("sentinel_embed_joined_calls_total", "Calls of the embedder that went together with another's.", r.joined.Joined),
		)
		preferred.Embedder, preferred.connect = r, r.connect
	}
	out := []engine.Lens{{Embedder: preferred, Memory: preferred, Place: a.cfg.Memory.Provider}}
	err = preferred.connect(ctx)
	if err != nil && engine.ErrorCode(err) != engine.CodeUnavailable {
		return nil, err // waiting does not mend what is configured wrongly
	}
	if err == nil {
		err = errors.Join(preferred.prepare(ctx), preferred.lacking)
	}
	if a.alone && a.remote != nil {
		a.patient = &patient{Embedder: preferred}
		out[0].Embedder = a.patient
		return out, err
	}
	if err != nil {
		a.log.Warn("not ready yet, asked again when it is used", "embedder", preferred.Model().Name, "memory", a.cfg.Memory.Provider, "error", err)
	}
	if a.alone || a.remote == nil && m.chosen == m.embedded {
		return out, nil
	}
	standIn := &pair{Embedder: static, Memory: m.embedded, connect: func(context.Context) error { return nil }}
	return append(out, engine.Lens{Embedder: standIn, Memory: standIn, Place: MemoryEmbedded}), nil
}

// counter exports what a part counts by itself.
func counter(name, help string, value func() uint64) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(value()) })
}

// newChat returns the language model that notes are written with, nil for none.
func newChat(cfg explain.LLM) (explain.Chat, error) {
	switch cfg.Provider {
	case explain.ProviderOllama:
		return explainollama.New(cfg)
	case explain.ProviderOpenAI:
		return openai.New(cfg)
	case explain.ProviderAnthropic:
		return langchain.New(cfg)
	}
	return nil, nil
}

// Run serves until ctx ends and then stops in order: the doors first, then the pipeline drains, then the files are closed.
func (a *App) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, a.Close()) }()
	pipelineCtx, stopPipeline := context.WithCancel(context.WithoutCancel(ctx))
	defer stopPipeline()
	// Alerts go out as long as the pipeline has some to tell.
	alertsCtx, stopAlerts := context.WithCancel(context.WithoutCancel(ctx))
	defer stopAlerts()
	alertsDone := make(chan error, 1)
	go func() { alertsDone <- a.runAlerts(alertsCtx) }()
	defer func() {
		stopAlerts()
		err = errors.Join(err, <-alertsDone)
	}()
	pipelineDone := make(chan error, 1)
	go func() { pipelineDone <- a.pipeline.Run(pipelineCtx) }()

	if err := a.server.Listen(); err != nil {
		stopPipeline()
		return errors.Join(err, <-pipelineDone)
	}
	doors, doorsCtx := errgroup.WithContext(ctx)
	doors.Go(func() error { return a.receiver.Run(doorsCtx, a.pipeline) })
	for _, s := range a.sources {
		doors.Go(func() error { return s.Run(doorsCtx, a.pipeline) })
	}
	doors.Go(func() error { return a.server.Run(doorsCtx) })
	doors.Go(func() error { a.keepHouse(doorsCtx); return nil })
	doors.Go(func() error {
		select {
		case err := <-pipelineDone:
			pipelineDone <- err
			return errors.Join(errors.New("the pipeline stopped"), err)
		case <-doorsCtx.Done():
			return nil
		}
	})
	a.ready.Store(true)
	err = doors.Wait()
	a.ready.Store(false)
	stopPipeline()
	return errors.Join(err, <-pipelineDone)
}

func (a *App) runAlerts(ctx context.Context) error {
	if a.alerts == nil {
		return nil
	}
	return a.alerts.Run(ctx)
}

// keepHouse deletes what is older than the retention.
func (a *App) keepHouse(ctx context.Context) {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			n, err := a.store.Prune(ctx, time.Now().Add(-a.cfg.Store.retention()))
			if err != nil {
				a.log.Error("old records not deleted", "error", err)
			} else if n > 0 {
				a.log.Info("old records deleted", "records", n)
			}
		}
	}
}

// Close releases what New opened, the last first. It may be called twice.
func (a *App) Close() error {
	var errs []error
	for i := len(a.closers) - 1; i >= 0; i-- {
		errs = append(errs, a.closers[i]())
	}
	a.closers = nil
	return errors.Join(errs...)
}

// Addrs are where the parts listen.
type Addrs struct {
	API, GRPC, HTTP string // host:port, "" for one that is switched off
}

// Addrs waits until every listener is open and says where. It fails when Run ends before.
func (a *App) Addrs(ctx context.Context) (Addrs, error) {
	select {
	case <-a.receiver.Ready():
	case <-ctx.Done():
		return Addrs{}, ctx.Err()
	}
	grpc, http := a.receiver.Addrs()
	out := Addrs{API: a.server.Addr()}
	if grpc != nil {
		out.GRPC = grpc.String()
	}
	if http != nil {
		out.HTTP = http.String()
	}
	return out, nil
}

// Idle reports whether everything that was accepted has been judged and every note written.
func (a *App) Idle() bool {
	for _, n := range a.pipeline.Health().Queued {
		if n > 0 {
			return false
		}
	}
	return true
}

// Waiting is how many traces wait for the semantic tier. Who plays old traffic fast keeps it small, or incidents are judged
// without what that tier would have said.
func (a *App) Waiting() int { return a.pipeline.Health().Queued["semantic_traces"] }

// Health implements api.HealthReporter.
func (a *App) Health() api.Health {
	h := api.Health{Status: api.HealthOK, Uptime: time.Since(a.started), Version: a.version}
	condition := a.pipeline.Health()
	h.Shed, h.Degraded, h.Sampling = condition.Dropped, condition.Degraded, condition.Sampling
	for _, s := range a.sources {
		h.Degraded = append(h.Degraded, s.Degraded()...)
	}
	if a.alerts != nil {
		h.Degraded = append(h.Degraded, a.alerts.Degraded()...)
	}
	h.LearningSeries = a.pipeline.Learning()
	switch {
	case !a.ready.Load():
		h.Status = api.HealthStarting
	case len(h.Degraded) > 0:
		h.Status = api.HealthDegraded
	}
	return h
}

// decoder lets the API read OTLP the way the receivers do.
type decoder struct {
	mapper *genai.Mapper
	limit  int // bytes of a request
}

// DecodeTraces implements api.Decoder.
func (d decoder) DecodeTraces(contentType, contentEncoding string, body []byte) ([]engine.Span, []string, error) {
	td, err := otlp.DecodeTraces(contentType, contentEncoding, body, d.limit)
	if err != nil {
		return nil, nil, err
	}
	r := d.mapper.Spans(td, time.Now())
	rejections := make([]string, len(r.Rejected))
	for i, x := range r.Rejected {
		rejections[i] = x.Error()
	}
	return r.Spans, rejections, nil
}

// NewLogger returns the logger that the configuration asks for.
func NewLogger(cfg LogConfig, w io.Writer) *slog.Logger {
	opts := &slog.HandlerOptions{Level: cfg.Level}
	if cfg.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// BuildVersion is the version the binary was linked with, or what the build information says.
func BuildVersion(linked string) string {
	if linked != "" {
		return linked
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "dev"
}
