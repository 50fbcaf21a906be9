package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/llm-sentinel/llm-sentinel/evals"
)

// The files that Write makes.
const (
	JSON  = "report.json"
	HTML  = "report.html"
	JUnit = "junit.xml"
)

// maxReport bounds a report.json, in bytes.
const maxReport = 64 << 20

// Write writes report.json, report.html and junit.xml into dir, which is made when it is not there. Falls are those of a comparison
// with an earlier report, for the page and for JUnit; nil without one. Nothing is written when any of the three cannot be made, and
// each file is replaced whole.
func Write(dir string, r evals.Report, falls []Fall) error {
	files := []struct {
		name string
		make func(io.Writer) error
		data bytes.Buffer
	}{
		{name: JSON, make: func(w io.Writer) error { return writeJSON(w, r) }},
		{name: HTML, make: func(w io.Writer) error { return writePage(w, r, falls) }},
		{name: JUnit, make: func(w io.Writer) error { return writeJUnit(w, r, falls) }},
	}
	for i := range files {
		if err := files[i].make(&files[i].data); err != nil {
			return fmt.Errorf("report: %s: %w", files[i].name, err)
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	for i := range files {
		if err := replace(filepath.Join(dir, files[i].name), files[i].data.Bytes()); err != nil {
			return fmt.Errorf("report: %w", err)
		}
	}
	return nil
}

// writeJSON relies on encoding/json for the order of keys: maps are sorted, structs are in the order of their fields.
func writeJSON(w io.Writer, r evals.Report) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	return out.Encode(r)
}

// Read reads a report.json that Write made; charts, confusions and tables are not in it.
func Read(path string) (evals.Report, error) {
	f, err := os.Open(path)
	if err != nil {
		return evals.Report{}, fmt.Errorf("report: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	r, err := decode(f)
	if err != nil {
		return evals.Report{}, fmt.Errorf("report: %s is not a report.json of 'sentinel eval': %w", path, err)
	}
	return r, nil
}

func decode(from io.Reader) (evals.Report, error) {
	data, err := io.ReadAll(io.LimitReader(from, maxReport+1))
	if err != nil {
		return evals.Report{}, err
	}
	if len(data) > maxReport {
		return evals.Report{}, fmt.Errorf("longer than %d MiB", maxReport>>20)
	}
	var r evals.Report
	if err := json.Unmarshal(data, &r); err != nil {
		return evals.Report{}, err
	}
	if r.Suites == nil {
		return evals.Report{}, errors.New(`it has no "suites"`)
	}
	for suite, metrics := range r.Suites {
		for name, m := range metrics {
			if !(m.Low <= m.Value && m.Value <= m.High) {
				return evals.Report{}, fmt.Errorf("%s.%s: its value %g is not within its interval %g to %g", suite, name, m.Value, m.Low, m.High)
			}
		}
	}
	return r, nil
}

// replace puts a whole file in the place of another.
func replace(path string, data []byte) error {
	part := path + ".part"
	if err := os.WriteFile(part, data, 0o644); err != nil {
		return err
	}
	return os.Rename(part, path)
}
