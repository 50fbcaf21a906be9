package evals

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Steps keeps what parts of a long run came to, so that a run that was interrupted can be resumed. Without a folder nothing is kept.
type Steps struct{ dir string }

// NewSteps keeps steps in a folder, which is made when the first is kept; "" keeps none.
func NewSteps(dir string) *Steps { return &Steps{dir: dir} }

// Resume returns what the step named key came to in an earlier, interrupted run, and otherwise does it and keeps the outcome. The
// outcome must survive JSON unchanged. The key must name everything that the outcome depends on within the suite.
func Resume[T any](s *Steps, key string, do func() (T, error)) (T, error) {
	if s.dir == "" {
		return do()
	}
	path := filepath.Join(s.dir, Digest(key)+".json")
	var out T
	data, err := os.ReadFile(path)
	if err == nil {
		if err = json.Unmarshal(data, &out); err == nil {
			return out, nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return out, fmt.Errorf("evals: step %s: %w", key, err)
	}
	if out, err = do(); err != nil {
		return out, err
	}
	if data, err = json.Marshal(out); err != nil {
		return out, fmt.Errorf("evals: step %s: %w", key, err)
	}
	return out, keep(path, data)
}

// Digest names what survives JSON by what is in it: for keys of steps, and to tell later whether data is the same.
func Digest(of any) string {
	h := sha256.New()
	_ = json.NewEncoder(h).Encode(of) // a hash takes all
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// keep writes a file whole or not at all.
func keep(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("evals: %w", err)
	}
	if err := os.WriteFile(path+".part", data, 0o644); err != nil {
		return fmt.Errorf("evals: %w", err)
	}
	if err := os.Rename(path+".part", path); err != nil {
		return fmt.Errorf("evals: %w", err)
	}
	return nil
}

// Clear forgets all steps.
func (s *Steps) Clear() error {
	if s.dir == "" {
		return nil
	}
	return os.RemoveAll(s.dir)
}
