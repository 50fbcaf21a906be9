package ollama

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/ollama/ollama/api"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// maxAnswer bounds the answer to one request, in bytes: 4096 vectors of 1024 dimensions take about 50 MB of JSON.
const maxAnswer = 64 << 20

// probe is the text that the model is asked for its dimension with.
const probe = "dimension"

// Embedder embeds texts with a served model. It is safe for concurrent use.
type Embedder struct {
	cfg       Config
	client    *api.Client
	transport *http.Transport
	logger    *slog.Logger
	model     atomic.Pointer[engine.Model] // nil until the server has told
	window    atomic.Int64                 // tokens of a text that the server is to read; 0 leaves it to the server
}

// New asks nothing of the server yet: Connect does.
func New(cfg Config, logger *slog.Logger) (*Embedder, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	base, err := url.Parse(cfg.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("ollama: base_url: %w", err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	e := &Embedder{
		cfg:       cfg,
		client:    api.NewClient(base, &http.Client{Transport: bounded{transport}, Timeout: cfg.Timeout}),
		transport: transport,
		logger:    logger.With("component", "embed.ollama", "model", cfg.Model),
	}
	return e, nil
}

// Connect asks the server which version of the model it has, how much it can read, and for the vector of one short text, so that a wrong address, a
// missing model or another dimension shows. It takes at most Timeout and the retries for each of the three questions, and does
// nothing once it has succeeded. The error has [engine.CodeUnavailable] when the server does not answer and
// [engine.CodeInvalid] when the configuration does not fit what it has; when ctx has ended it wraps ctx's.
func (e *Embedder) Connect(ctx context.Context) error {
	if e.model.Load() != nil {
		return nil
	}
	version, err := e.digest(ctx)
	if err != nil {
		return err
	}
	window, err := e.contextLength(ctx)
	if err != nil {
		return err
	}
	e.window.Store(int64(window))
	vectors, err := e.embedBatch(ctx, []string{probe}, e.cfg.Dimension)
	if err != nil {
		return err
	}
	e.model.Store(&engine.Model{Name: e.cfg.Model, Version: version, Dimension: len(vectors[0])})
	return nil
}

// Close drops idle connections; calls that are under way end as they would.
func (e *Embedder) Close() { e.transport.CloseIdleConnections() }

// Model names the model; its version is the start of the digest that `ollama list` shows. Before Connect, or an Embed, has
// succeeded it has no version, and the dimension that the configuration expects.
func (e *Embedder) Model() engine.Model {
	if m := e.model.Load(); m != nil {
		return *m
	}
	return engine.Model{Name: e.cfg.Model, Dimension: e.cfg.Dimension}
}

// Embed returns one vector of unit length a text, in order, and connects first when that was not done. A text of nothing but
// white space is not sent and has the zero vector. An error names the model, the server and what to do; when ctx has ended it wraps ctx's.
func (e *Embedder) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := e.Connect(ctx); err != nil {
		return nil, err
	}
	dimension := e.Model().Dimension
	out := make([][]float32, len(texts))
	var inputs []string
	var places []int // of inputs in out
	for i, text := range texts {
		if strings.TrimSpace(text) == "" {
			out[i] = make([]float32, dimension)
			continue
		}
		inputs = append(inputs, text)
		places = append(places, i)
	}
	for start := 0; start < len(inputs); start += e.cfg.BatchSize {
		end := min(start+e.cfg.BatchSize, len(inputs))
		vectors, err := e.embedBatch(ctx, inputs[start:end], dimension)
		if err != nil {
			return nil, err
		}
		for j, vector := range vectors {
			out[places[start+j]] = vector
		}
	}
	return out, nil
}

// embedBatch sends one request and makes unit vectors of the answer, which must have the dimension wanted; 0 takes any.
func (e *Embedder) embedBatch(ctx context.Context, texts []string, want int) ([][]float32, error) {
	request := &api.EmbedRequest{Model: e.cfg.Model, Input: texts}
	if window := e.window.Load(); window > 0 {
		request.Options = map[string]any{"num_ctx": window}
	}
	answer, err := retry(ctx, e, "embed", func() (*api.EmbedResponse, error) {
		return e.client.Embed(ctx, request)
	})
	if err != nil {
		return nil, err
	}
	if len(answer.Embeddings) != len(texts) {
		return nil, e.fail(engine.CodeInternal, "embed", fmt.Errorf("%d vectors came back for %d texts", len(answer.Embeddings), len(texts)))
	}
	for i, vector := range answer.Embeddings {
		if want != 0 && len(vector) != want || len(vector) == 0 {
			return nil, e.fail(engine.CodeInvalid, "embed", fmt.Errorf(
				"vectors have dimension %d, want %d: set dimension to 0 or restart after a change of the model", len(vector), want))
		}
		if err := normalize(vector); err != nil {
			return nil, e.fail(engine.CodeInternal, "embed", fmt.Errorf("vector %d of %d %w", i+1, len(texts), err))
		}
	}
	return answer.Embeddings, nil
}

// digest asks for the installed version of the model.
func (e *Embedder) digest(ctx context.Context) (string, error) {
	list, err := retry(ctx, e, "list models", func() (*api.ListResponse, error) { return e.client.List(ctx) })
	if err != nil {
		return "", err
	}
	for _, model := range list.Models {
		if model.Name == e.cfg.Model || model.Name == e.cfg.Model+":latest" {
			return model.Digest[:min(len(model.Digest), 12)], nil
		}
	}
	return "", e.fail(engine.CodeInvalid, "list models", fmt.Errorf("no such model: run `ollama pull %s` there", e.cfg.Model))
}

// The bounds of the context that is asked for, in tokens. A server cuts a text at its context and then adds special tokens; where the
// context is all that the model has, such as the 512 of BERT, that is more than the model can read, and the server's runner aborts
// (Ollama 0.6.5). Chunks are shorter than mostTokens.
const (
	specialTokens = 16
	mostTokens    = 2048
)

// contextLength is how many tokens of a text the server is to read, 0 when it does not say what the model can.
func (e *Embedder) contextLength(ctx context.Context) (int, error) {
	shown, err := retry(ctx, e, "show", func() (*api.ShowResponse, error) { return e.client.Show(ctx, &api.ShowRequest{Model: e.cfg.Model}) })
	if err != nil {
		return 0, err
	}
	architecture, _ := shown.ModelInfo["general.architecture"].(string)
	length, _ := shown.ModelInfo[architecture+".context_length"].(float64)
	if length <= 2*specialTokens {
		return 0, nil
	}
	return min(int(length)-specialTokens, mostTokens), nil
}

// retry calls do until it succeeds, fails for good, or has been tried MaxRetries times more.
func retry[T any](ctx context.Context, e *Embedder, operation string, do func() (T, error)) (T, error) {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval = e.cfg.RetryDelay
	wait.Multiplier = 2
	answer, err := backoff.Retry(ctx, func() (T, error) {
		answer, err := do()
		if err != nil && !temporary(err) {
			return answer, backoff.Permanent(err)
		}
		return answer, err
	},
		backoff.WithBackOff(wait),
		backoff.WithMaxTries(uint(e.cfg.MaxRetries)+1),
		backoff.WithMaxElapsedTime(0),
		backoff.WithNotify(func(err error, after time.Duration) {
			e.logger.Warn("request failed, trying again", "operation", operation, "after", after, "error", err)
		}))
	if err == nil {
		return answer, nil
	}
	if cause := ctx.Err(); cause != nil {
		return answer, fmt.Errorf("ollama: %s with %s at %s: %w", operation, e.cfg.Model, e.cfg.BaseURL, cause)
	}
	var permanent *backoff.PermanentError
	if errors.As(err, &permanent) {
		err = permanent.Unwrap()
	}
	var status api.StatusError
	switch {
	case errors.As(err, &status) && status.StatusCode == http.StatusNotFound:
		return answer, e.fail(engine.CodeInvalid, operation, fmt.Errorf("%w: run `ollama pull %s` there", err, e.cfg.Model))
	case errors.As(err, &status) && !temporary(err):
		return answer, e.fail(engine.CodeInvalid, operation, err)
	case errors.As(err, &status):
		return answer, e.fail(engine.CodeUnavailable, operation, fmt.Errorf("%w: see the server's log", err))
	case errors.Is(err, context.DeadlineExceeded):
		return answer, e.fail(engine.CodeUnavailable, operation, fmt.Errorf("no answer within %v: %w: raise timeout or lower batch_size", e.cfg.Timeout, err))
	default:
		return answer, e.fail(engine.CodeUnavailable, operation, fmt.Errorf("%w: check that `ollama serve` runs there and base_url is right", err))
	}
}

func (e *Embedder) fail(code engine.Code, operation string, err error) error {
	return engine.Errorf(code, "ollama: %s with %s at %s: %w", operation, e.cfg.Model, e.cfg.BaseURL, err)
}

// temporary reports whether another try may help: the server did not answer, is busy, or failed by itself.
func temporary(err error) bool {
	var status api.StatusError
	if errors.As(err, &status) {
		return status.StatusCode >= http.StatusInternalServerError || status.StatusCode == http.StatusTooManyRequests
	}
	var authorization api.AuthorizationError
	var tooLarge *http.MaxBytesError
	return !errors.As(err, &authorization) && !errors.As(err, &tooLarge)
}

// normalize scales a vector to unit length in place. Vectors that have none are an error.
func normalize(vector []float32) error {
	sum := 0.0
	for _, v := range vector {
		sum += float64(v) * float64(v)
	}
	if sum == 0 || math.IsNaN(sum) || math.IsInf(sum, 0) {
		return fmt.Errorf("has length %v", math.Sqrt(sum))
	}
	inverse := 1 / math.Sqrt(sum)
	for i := range vector {
		vector[i] = float32(float64(vector[i]) * inverse)
	}
	return nil
}

// bounded cuts off answers that are too long to be true.
type bounded struct{ inner http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.inner.RoundTrip(r)
	if err == nil {
		answer.Body = http.MaxBytesReader(nil, answer.Body, maxAnswer)
	}
	return answer, err
}
