package custom

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"

	"github.com/llm-sentinel/llm-sentinel/evals"
)

// maxRows bounds a data file: all of it is kept in memory, and resampled.
const maxRows = 200_000

// data is what a file holds.
type data struct {
	rows   []row
	digest string // of the file and the definition
}

// read reads the data file. What is malformed goes to env.Skip, with the line, and is left out.
func (d *definition) read(env evals.Env) (data, error) {
	var out data
	var first error // why a line was left out
	add := func(line int, r record, err error) error {
		var one row
		if err == nil {
			one, err = d.row(line, r)
		}
		if err != nil {
			first = cmp.Or(first, fmt.Errorf("line %d: %w", line, err))
			return env.Skip(d.File, line, err)
		}
		if out.rows = append(out.rows, one); len(out.rows) > maxRows {
			return fmt.Errorf("%s: more than %d rows", d.File, maxRows)
		}
		return nil
	}
	var err error
	if d.Format == formatCSV {
		err = d.openCSV(add)
	} else {
		err = evals.EachLine(d.File, func(line int, text []byte) error {
			r, err := decodeRecord(text)
			return add(line, r, err)
		})
	}
	if err != nil {
		return out, err
	}
	if len(out.rows) == 0 && first != nil {
		return out, fmt.Errorf("suite %s: no line of %s can be used, see %w", d.Name, d.File, first)
	}
	text, err := json.Marshal([]any{d, out.rows})
	if err != nil {
		return out, fmt.Errorf("%s: %w", d.File, err)
	}
	out.digest = digest(text)
	return out, nil
}

func digest(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// openCSV hands on each record of the data file, gzip or not.
func (d *definition) openCSV(add func(line int, r record, err error) error) error {
	f, err := os.Open(d.File)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was only read
	buffered := bufio.NewReader(f)
	if head, _ := buffered.Peek(2); !bytes.Equal(head, []byte{0x1f, 0x8b}) {
		return d.readCSV(buffered, add)
	}
	z, err := gzip.NewReader(buffered)
	if err != nil {
		return fmt.Errorf("%s: %w", d.File, err)
	}
	return d.readCSV(z, add)
}

// readCSV hands on each record of CSV with a heading (RFC 4180). A record may span lines; the first counts.
func (d *definition) readCSV(r io.Reader, add func(line int, r record, err error) error) error {
	in := csv.NewReader(r)
	heading, err := in.Read()
	if err != nil {
		return fmt.Errorf("%s: heading: %w", d.File, err)
	}
	heading[0] = strings.TrimPrefix(heading[0], "\ufeff") // spreadsheets put a byte order mark there
	for _, field := range d.reads() {
		if !slices.Contains(heading, field) {
			return fmt.Errorf("%s: there is no column %s: it has %s", d.File, field, strings.Join(heading, ", "))
		}
	}
	for {
		cells, err := in.Read()
		var malformed *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &malformed):
			if err := add(malformed.StartLine, nil, malformed.Err); err != nil {
				return err
			}
			continue
		case err != nil:
			return fmt.Errorf("%s: %w", d.File, err)
		}
		line, _ := in.FieldPos(0)
		one := make(record, len(cells))
		for i, cell := range cells {
			one[heading[i]] = cell
		}
		if err := add(line, one, nil); err != nil {
			return err
		}
	}
}

// reads are the names of the file's fields that the definition speaks of, in order.
func (d *definition) reads() []string {
	var out []string
	for _, field := range d.Fields.byName() {
		out = append(out, *field)
	}
	for _, field := range d.Baselines {
		out = append(out, field)
	}
	if d.Normal != nil {
		out = append(out, d.Normal.Field)
	}
	slices.Sort(out)
	return slices.DeleteFunc(slices.Compact(out), func(s string) bool { return s == "" })
}
