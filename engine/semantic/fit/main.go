// Command fit makes the weights that engine/semantic ships with, from the seed attacks and from the grids beside it: texts that were
// written for this project, and nothing else. The same texts give the same weights.
//
//	go run ./fit -attacks ../../retrieval/attack/attacks.jsonl -out .
package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/engine/semantic"
)

//go:embed prompts.grid
var prompts []byte

//go:embed documents.grid
var documents []byte

func main() {
	attacks := flag.String("attacks", "", "JSON lines with the seed attacks")
	out := flag.String("out", ".", "folder for the weights")
	flag.Parse()
	if err := run(*attacks, *out); err != nil {
		fmt.Fprintln(os.Stderr, "fit:", err)
		os.Exit(1)
	}
}

func run(attacks, out string) error {
	seed, err := readSeed(attacks)
	if err != nil {
		return err
	}
	for _, m := range []struct {
		file string
		grid []byte
		kind engine.TextKind
	}{
		{"jailbreak.weights", prompts, engine.TextUserPrompt},
		{"injection.weights", documents, engine.TextDocument},
	} {
		examples, err := expand(bytes.NewReader(m.grid))
		if err != nil {
			return fmt.Errorf("%s: %w", m.file, err)
		}
		examples = append(examples, seed[m.kind]...)
		var weights bytes.Buffer
		loss, err := semantic.Fit(&weights, examples, m.kind)
		if err != nil {
			return fmt.Errorf("%s: %w", m.file, err)
		}
		if err := os.WriteFile(filepath.Join(out, m.file), weights.Bytes(), 0o644); err != nil {
			return err
		}
		fmt.Printf("%s: %d texts, %d bytes, mean loss %.4f\n", m.file, len(examples), weights.Len(), loss)
	}
	return nil
}

// readSeed reads the seed attacks by kind.
func readSeed(path string) (map[engine.TextKind][]semantic.Example, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	out := make(map[engine.TextKind][]semantic.Example)
	for decoder := json.NewDecoder(f); ; {
		var t struct {
			Family, Text string
			Kind         engine.TextKind
		}
		if err := decoder.Decode(&t); errors.Is(err, io.EOF) {
			return out, nil
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		out[t.Kind] = append(out[t.Kind], semantic.Example{Family: t.Family, Text: t.Text, Attack: true})
	}
}
