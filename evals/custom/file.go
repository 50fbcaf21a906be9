package custom

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

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
	if err := d.each(env, add); err != nil {
		return out, err
	}
	if len(out.rows) == 0 && first != nil {
		return out, fmt.Errorf("no line of %s can be used, see %w", d.File, first)
	}
	out.digest = evals.Digest([]any{d, out.rows})
	return out, nil
}

// each hands on each record of the data file.
func (d *definition) each(env evals.Env, add func(line int, r record, err error) error) error {
	if d.Format == formatJSONL {
		return evals.EachLine(env, d.File, func(line int, text []byte) error {
			r, err := decodeRecord(text)
			return add(line, r, err)
		})
	}
	f, err := evals.Open(d.File)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was only read
	return d.readCSV(f, add)
}

// readCSV hands on each record of CSV with a heading (RFC 4180). A record may span lines; the first counts.
func (d *definition) readCSV(from io.Reader, add func(line int, r record, err error) error) error {
	in := csv.NewReader(from)
	heading, err := in.Read()
	if err != nil {
		return fmt.Errorf("%s: heading: %w", d.File, err)
	}
	heading[0] = strings.TrimPrefix(heading[0], "\ufeff") // spreadsheets put a byte order mark there
	for i, field := range heading {
		if slices.Contains(heading[:i], field) {
			return fmt.Errorf("%s: there are two columns %s", d.File, field)
		}
	}
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
