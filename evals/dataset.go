package evals

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/klauspost/compress/gzip"
)

// maxLine bounds a line of a dataset, in bytes.
const maxLine = 16 << 20

// ReadJSONL reads a file of JSON lines, gzip or not, into cases; blank lines are passed over. check refuses a case that makes no sense
// (nil: none). A line that is malformed or refused goes to env.Skip and is left out. A missing file is ErrUnavailable.
func ReadJSONL[T any](env Env, path string, check func(T) error) ([]T, error) {
	var out []T
	err := EachLine(path, func(number int, line []byte) error {
		var one T
		err := json.Unmarshal(line, &one)
		if err == nil && check != nil {
			err = check(one)
		}
		if err != nil {
			return env.Skip(path, number, err)
		}
		out = append(out, one)
		return nil
	})
	return out, err
}

// EachLine calls with each line of a file, gzip or not, that is not blank, and its number from 1. A missing file is ErrUnavailable.
func EachLine(path string, with func(number int, line []byte) error) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Unavailable("there is no %s", path)
	}
	if err != nil {
		return fmt.Errorf("evals: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	buffered := bufio.NewReader(f)
	var r io.Reader = buffered
	if head, _ := buffered.Peek(2); bytes.Equal(head, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(buffered)
		if err != nil {
			return fmt.Errorf("evals: %s: %w", path, err)
		}
		r = z
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 1<<16), maxLine)
	number := 0
	for lines.Scan() {
		number++
		if line := bytes.TrimSpace(lines.Bytes()); len(line) > 0 {
			if err := with(number, line); err != nil {
				return err
			}
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("evals: %s: after line %d: %w", path, number, err)
	}
	return nil
}
