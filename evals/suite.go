package evals

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
)

// Suite is a loader, a task, metrics and trivial baselines for one thing that the engine does.
type Suite interface {
	// Name is short and stable: the key in reports and the argument on the command line.
	Name() string
	// Fit learns what Run is to be given as frozen from the data of env. A suite that learns nothing returns nil.
	Fit(ctx context.Context, env Env) (frozen json.RawMessage, err error)
	// Run measures on the data of env. With frozen nil what must be fitted is cross-validated inside the data; otherwise nothing is
	// learnt from it. ErrUnavailable, wrapped with the reason, means that the suite cannot run here.
	Run(ctx context.Context, env Env, frozen json.RawMessage) (Result, error)
}

// ErrUnavailable is what a suite answers when what it measures, or the data for it, is not there.
var ErrUnavailable = errors.New("unavailable")

// Unavailable wraps ErrUnavailable with its reason.
func Unavailable(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUnavailable, fmt.Sprintf(format, args...))
}

// Env is what a suite runs in.
type Env struct {
	Data     string                                          // folder with the labelled data
	Seed     uint64                                          // of all randomness
	Log      *slog.Logger                                    // never nil
	Progress func(done, total int, step string)              // tells how far a long run is; never nil
	Steps    *Steps                                          // what an interrupted run had done already; never nil
	Skip     func(file string, line int, reason error) error // a malformed line; an error of it ends the run
}

// Path is a file of the data folder.
func (e Env) Path(elem ...string) string { return filepath.Join(append([]string{e.Data}, elem...)...) }
