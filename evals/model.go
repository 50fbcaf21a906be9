package evals

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/gzip"
)

// Model is what suites learnt from one folder of data, frozen to score other data with.
type Model struct {
	Version string                     `json:"version"` // of the program that fitted it
	Suites  map[string]json.RawMessage `json:"suites"`  // null for a suite that learns nothing
	Sum     string                     `json:"-"`       // SHA-256 of the file it was read from, hexadecimal
}

// Flattered is the note of a suite that scores the very data that its model was fitted on.
const Flattered = "The model was fitted on this very data: it knows it, and the figures flatter it."

// maxModel bounds a model file, in bytes of JSON.
const maxModel = 1 << 30

// Save writes the model as gzipped JSON, whole or not at all.
func (m Model) Save(path string) error {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if err := json.NewEncoder(z).Encode(m); err != nil {
		return fmt.Errorf("evals: model %s: %w", path, err)
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("evals: model %s: %w", path, err)
	}
	return keep(path, out.Bytes())
}

// LoadModel reads what Save wrote.
func LoadModel(path string) (*Model, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("evals: model: %w", err)
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("evals: %s is not a model that 'sentinel eval fit' wrote: %w", path, err)
	}
	text, err := io.ReadAll(io.LimitReader(z, maxModel)) // to the end, where the check sum is
	var m Model
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err == nil && m.Suites == nil {
		err = errors.New(`it has no "suites"`)
	}
	if err != nil {
		return nil, fmt.Errorf("evals: %s is not a model that 'sentinel eval fit' wrote: %w", path, err)
	}
	sum := sha256.Sum256(data)
	m.Sum = hex.EncodeToString(sum[:])
	return &m, nil
}
