package embed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Server is one model behind a network protocol, as an adapter speaks it. A request that the context ends fails with the context's error.
type Server interface {
	// Version says which version of the model there is, "" where the server does not tell.
	Version(ctx context.Context) (string, error)
	// Vectors makes one request and returns one vector a text, in order, of any length.
	Vectors(ctx context.Context, texts []string) ([][]float32, error)
}

// RemoteConfig says of which model vectors are asked for and how patiently.
type RemoteConfig struct {
	BaseURL string `yaml:"base_url"` // of the server
	Model   string `yaml:"model"`
	// Dimension is the expected length of the vectors, up to 65,536; 0 takes what the model gives when it is first asked.
	Dimension  int           `yaml:"dimension"`
	BatchSize  int           `yaml:"batch_size"`  // texts a request, 1 to 4096
	Timeout    time.Duration `yaml:"timeout"`     // of one request
	MaxRetries int           `yaml:"max_retries"` // further tries after the first, 0 to 10
	RetryDelay time.Duration `yaml:"retry_delay"` // before the first retry; it doubles each time, give or take a half
}

// DefaultRemoteConfig has the limits of a request; where and which model is for an adapter, or the user, to say.
func DefaultRemoteConfig() RemoteConfig {
	return RemoteConfig{BatchSize: 64, Timeout: 10 * time.Second, MaxRetries: 2, RetryDelay: 200 * time.Millisecond}
}

// Validate says what is wrong with the configuration.
func (c RemoteConfig) Validate() error {
	switch {
	case !strings.HasPrefix(c.BaseURL, "http://") && !strings.HasPrefix(c.BaseURL, "https://"):
		return fmt.Errorf("base_url is %q, want http://HOST:PORT or https://HOST", c.BaseURL)
	case c.Model == "":
		return errors.New("model is empty, want the name that the server has for it")
	case c.Dimension < 0 || c.Dimension > 1<<16:
		return fmt.Errorf("dimension is %d, want 0 (ask the model) to 65536", c.Dimension)
	case c.BatchSize < 1 || c.BatchSize > 4096:
		return fmt.Errorf("batch_size is %d, want 1 to 4096", c.BatchSize)
	case c.Timeout <= 0:
		return fmt.Errorf("timeout is %v, want more than 0", c.Timeout)
	case c.MaxRetries < 0 || c.MaxRetries > 10:
		return fmt.Errorf("max_retries is %d, want 0 to 10", c.MaxRetries)
	case c.RetryDelay <= 0:
		return fmt.Errorf("retry_delay is %v, want more than 0", c.RetryDelay)
	}
	return nil
}

// Hints are what a user can do about a failure, by what it looks like.
type Hints struct {
	Missing string // the server does not know the model or the path
	Down    string // the server does not answer
}

// probe is the text that a model is asked for its dimension with.
const probe = "dimension"

// Remote makes an engine.Embedder of a Server: it sends texts in batches, asks again for what may pass, checks what comes back and scales
// it to unit length. It is safe for concurrent use.
type Remote struct {
	name   string // of the adapter, in errors
	cfg    RemoteConfig
	hints  Hints
	server Server
	logger *slog.Logger
	model  atomic.Pointer[engine.Model] // nil until the server has told
}

// NewRemote asks nothing of the server yet: Connect does. The configuration must be valid.
func NewRemote(name string, cfg RemoteConfig, hints Hints, server Server, logger *slog.Logger) *Remote {
	return &Remote{name: name, cfg: cfg, hints: hints, server: server, logger: logger.With("component", "embed."+name, "model", cfg.Model)}
}

// Connect asks the server for the model's version and for the vector of one short text, so that a wrong address, a missing model or another
// dimension shows. It does nothing once it has succeeded. The error has [engine.CodeUnavailable] when the server does not answer and
// [engine.CodeInvalid] when the configuration does not fit what it has; when ctx has ended it wraps ctx's.
func (r *Remote) Connect(ctx context.Context) error {
	if r.model.Load() != nil {
		return nil
	}
	version, err := retry(ctx, r, "describe", r.server.Version)
	if err != nil {
		return err
	}
	vectors, err := r.request(ctx, []string{probe}, r.cfg.Dimension)
	if err != nil {
		return err
	}
	r.model.Store(&engine.Model{Name: r.cfg.Model, Version: version, Dimension: len(vectors[0])})
	return nil
}

// Model names the model. Before Connect, or an Embed, has succeeded it has no version, and the dimension that the configuration expects.
func (r *Remote) Model() engine.Model {
	if m := r.model.Load(); m != nil {
		return *m
	}
	return engine.Model{Name: r.cfg.Model, Dimension: r.cfg.Dimension}
}

// Embed returns one vector of unit length a text, in order, and connects first when that was not done. A text of nothing but
// white space is not sent and has the zero vector. An error names the model, the server and what to do; when ctx has ended it wraps ctx's.
func (r *Remote) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := r.Connect(ctx); err != nil {
		return nil, err
	}
	dimension := r.Model().Dimension
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
	for start := 0; start < len(inputs); start += r.cfg.BatchSize {
		end := min(start+r.cfg.BatchSize, len(inputs))
		vectors, err := r.request(ctx, inputs[start:end], dimension)
		if err != nil {
			return nil, err
		}
		for j, vector := range vectors {
			out[places[start+j]] = vector
		}
	}
	return out, nil
}

// request sends one request and makes unit vectors of the answer, which must have the dimension wanted; 0 takes any.
func (r *Remote) request(ctx context.Context, texts []string, want int) ([][]float32, error) {
	vectors, err := retry(ctx, r, "embed", func(ctx context.Context) ([][]float32, error) { return r.server.Vectors(ctx, texts) })
	if err != nil {
		return nil, err
	}
	if len(vectors) != len(texts) {
		return nil, r.fail(engine.CodeInternal, "embed", fmt.Errorf("%d vectors came back for %d texts", len(vectors), len(texts)))
	}
	for i, vector := range vectors {
		if want != 0 && len(vector) != want || len(vector) == 0 {
			return nil, r.fail(engine.CodeInvalid, "embed", fmt.Errorf(
				"vectors have dimension %d, want %d: set dimension to 0 or restart after a change of the model", len(vector), want))
		}
		if err := normalize(vector); err != nil {
			return nil, r.fail(engine.CodeInternal, "embed", fmt.Errorf("vector %d of %d %w", i+1, len(texts), err))
		}
	}
	return vectors, nil
}

// retry calls do until it succeeds, fails for good, or has been tried MaxRetries times more.
func retry[T any](ctx context.Context, r *Remote, operation string, do func(ctx context.Context) (T, error)) (T, error) {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval = r.cfg.RetryDelay
	wait.Multiplier = 2
	answer, err := backoff.Retry(ctx, func() (T, error) {
		bounded, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
		defer cancel()
		answer, err := do(bounded)
		if err != nil && !temporary(err) {
			return answer, backoff.Permanent(err)
		}
		return answer, err
	},
		backoff.WithBackOff(wait),
		backoff.WithMaxTries(uint(r.cfg.MaxRetries)+1),
		backoff.WithMaxElapsedTime(0),
		backoff.WithNotify(func(err error, after time.Duration) {
			r.logger.Warn("request failed, trying again", "operation", operation, "after", after, "error", err)
		}))
	if err == nil {
		return answer, nil
	}
	if cause := ctx.Err(); cause != nil {
		return answer, fmt.Errorf("%s: %s with %s at %s: %w", r.name, operation, r.cfg.Model, r.cfg.BaseURL, cause)
	}
	var permanent *backoff.PermanentError
	if errors.As(err, &permanent) {
		err = permanent.Unwrap()
	}
	code, err := r.advise(err)
	return answer, r.fail(code, operation, err)
}

// advise says what a failure means and what to do about it.
func (r *Remote) advise(err error) (engine.Code, error) {
	var coded *engine.Error
	var refused *StatusError
	switch {
	case errors.As(err, &coded):
		return coded.Code, err
	case errors.As(err, &refused) && refused.Status == http.StatusNotFound:
		return engine.CodeInvalid, fmt.Errorf("%w: %s", refused, r.hints.Missing)
	case errors.As(err, &refused) && (refused.Status == http.StatusUnauthorized || refused.Status == http.StatusForbidden):
		return engine.CodeInvalid, fmt.Errorf("%w: check api_key and base_url", refused)
	case errors.As(err, &refused) && !temporary(err):
		return engine.CodeInvalid, refused
	case errors.As(err, &refused):
		return engine.CodeUnavailable, fmt.Errorf("%w: see the server's log", refused)
	case errors.Is(err, context.DeadlineExceeded):
		return engine.CodeUnavailable, fmt.Errorf("no answer within %v: %w: raise timeout or lower batch_size", r.cfg.Timeout, err)
	}
	return engine.CodeUnavailable, fmt.Errorf("%w: %s", err, r.hints.Down)
}

func (r *Remote) fail(code engine.Code, operation string, err error) error {
	return engine.Errorf(code, "%s: %s with %s at %s: %w", r.name, operation, r.cfg.Model, r.cfg.BaseURL, err)
}

// temporary reports whether another try may help: the server did not answer, is busy, or failed by itself.
func temporary(err error) bool {
	var refused *StatusError
	if errors.As(err, &refused) {
		return refused.Status >= http.StatusInternalServerError || refused.Status == http.StatusTooManyRequests || refused.Status == http.StatusRequestTimeout
	}
	var coded *engine.Error
	var tooLarge *http.MaxBytesError
	return !errors.As(err, &coded) && !errors.As(err, &tooLarge)
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
