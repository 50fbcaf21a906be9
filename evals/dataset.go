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

// byteOrderMark is what some editors and spreadsheets put before the first line.
var byteOrderMark = []byte("\ufeff")

// ReadJSONL reads a file of JSON lines, gzip or not, into cases; blank lines are passed over. check refuses a case that makes no sense
// (nil: none). A line that is malformed or refused goes to env.Skip and is left out. A file that is missing, or of which nothing is left,
// is ErrUnavailable.
func ReadJSONL[T any](env Env, path string, check func(T) error) ([]T, error) {
	var out []T
	err := EachLine(env, path, func(number int, line []byte) error {
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
	if err == nil && len(out) == 0 {
		err = Unavailable("%s has no line that can be used", path)
	}
	return out, err
}

// Distinct is a check for ReadJSONL that refuses, beside what the given one refuses, a case with the id of an earlier one: the second
// would be taken for the first wherever cases are told apart by their ids.
func Distinct[T any](id func(T) string, check func(T) error) func(T) error {
	seen := make(map[string]bool)
	return func(one T) error {
		if err := check(one); err != nil {
			return err
		}
		if seen[id(one)] {
			return fmt.Errorf("id: %q is that of an earlier line too", id(one))
		}
		seen[id(one)] = true
		return nil
	}
}

// EachLine calls with each line of a file, gzip or not, that is not blank, and its number from 1. A line that is longer than 16 MiB goes
// to env.Skip. A missing file is ErrUnavailable.
func EachLine(env Env, path string, with func(number int, line []byte) error) error {
	f, err := Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was only read
	lines := bufio.NewReaderSize(f, 1<<16)
	var line []byte
	for number := 1; ; number++ {
		line, err = nextLine(lines, line[:0])
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, errLong) {
			return fmt.Errorf("evals: %s: line %d: %w", path, number, err)
		}
		last := errors.Is(err, io.EOF)
		if number == 1 {
			line = bytes.TrimPrefix(line, byteOrderMark)
		}
		switch text := bytes.TrimSpace(line); {
		case errors.Is(err, errLong):
			err = env.Skip(path, number, err)
		case len(text) > 0:
			err = with(number, text)
		default:
			err = nil
		}
		if err != nil || last {
			return err
		}
	}
}

var errLong = fmt.Errorf("the line is longer than %d MiB", maxLine>>20)

// nextLine appends the next line to buffer. One that is too long is read to its end and is errLong; io.EOF comes with the last line.
func nextLine(from *bufio.Reader, buffer []byte) ([]byte, error) {
	long := false
	for {
		part, err := from.ReadSlice('\n')
		if long = long || len(buffer)+len(part) > maxLine; !long {
			buffer = append(buffer, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case long && (err == nil || errors.Is(err, io.EOF)): // the end of the file comes again with the next line
			return buffer[:0], errLong
		default:
			return buffer, err
		}
	}
}

// Open opens a file of a dataset and decompresses it where it is gzip. A missing file is ErrUnavailable.
func Open(path string) (io.ReadCloser, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, Unavailable("there is no %s", path)
	}
	if err == nil && !info.Mode().IsRegular() { // a folder, or a device that never ends
		err = fmt.Errorf("%s is no file", path)
	}
	if err != nil {
		return nil, fmt.Errorf("evals: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("evals: %w", err)
	}
	buffered := bufio.NewReader(f)
	if head, _ := buffered.Peek(2); !bytes.Equal(head, []byte{0x1f, 0x8b}) {
		return dataFile{buffered, f}, nil
	}
	z, err := gzip.NewReader(buffered)
	if err != nil {
		_ = f.Close() // it was only read
		return nil, fmt.Errorf("evals: %s: %w", path, err)
	}
	return dataFile{z, f}, nil
}

// dataFile is an open file and what reads it.
type dataFile struct {
	io.Reader
	io.Closer
}
