package custom

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The kinds of texts.
const (
	kindUser     = "user"     // what a user typed
	kindDocument = "document" // what retrieval returned
	kindTool     = "tool"     // what a tool returned
)

// row is one case.
type row struct {
	Line      int
	Text      string
	Kind      string
	Context   string
	Question  string
	Response  string
	At        time.Time
	Value     float64
	Series    string
	Label     string
	Group     string
	Positive  bool
	Normal    bool               // it teaches and is not scored
	Baselines map[string]float64 // by name
}

// record is a line of the data: by field, text or nothing.
type record map[string]string

// row reads a record by the definition. Its errors name the field as the file calls it.
func (d *definition) row(line int, r record) (row, error) {
	out := row{Line: line, Kind: tasks[d.Task].kind}
	if n := d.Normal; n != nil && n.Field != "" {
		out.Normal = slices.Contains(n.Values, r[n.Field])
	}
	f := d.Fields
	for _, need := range []struct {
		field string
		to    *string
	}{{f.Text, &out.Text}, {f.Context, &out.Context}, {f.Response, &out.Response}} {
		if need.field == "" {
			continue
		}
		if *need.to = r[need.field]; strings.TrimSpace(*need.to) == "" {
			return out, fmt.Errorf("%s: is empty", need.field)
		}
	}
	out.Question, out.Series, out.Group = r[f.Question], r[f.Series], r[f.Group]
	if f.Kind != "" {
		if out.Kind = r[f.Kind]; !slices.Contains([]string{kindUser, kindDocument, kindTool}, out.Kind) {
			return out, fmt.Errorf("%s: %q is unknown: want %s, %s or %s", f.Kind, out.Kind, kindUser, kindDocument, kindTool)
		}
	}
	var err error
	if f.Timestamp != "" {
		if out.At, err = parseTime(r[f.Timestamp]); err != nil {
			return out, fmt.Errorf("%s: %w", f.Timestamp, err)
		}
	}
	if f.Value != "" {
		if out.Value, err = parseNumber(r[f.Value]); err != nil {
			return out, fmt.Errorf("%s: %w", f.Value, err)
		}
	}
	if out.Normal {
		return out, nil // what teaches needs no label and is not compared
	}
	out.Label = r[f.Label]
	out.Positive = slices.Contains(d.Positive, out.Label)
	switch {
	case out.Label == "":
		return out, fmt.Errorf("%s: is empty", f.Label)
	case !out.Positive && len(d.Negative) > 0 && !slices.Contains(d.Negative, out.Label):
		return out, fmt.Errorf("%s: %q is neither positive nor negative", f.Label, out.Label)
	}
	out.Baselines = make(map[string]float64, len(d.Baselines))
	for name, field := range d.Baselines {
		if out.Baselines[name], err = parseNumber(r[field]); err != nil {
			return out, fmt.Errorf("%s: %w", field, err)
		}
	}
	return out, nil
}

func parseNumber(s string) (float64, error) {
	x, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
		return 0, fmt.Errorf("%q is no number", s)
	}
	return x, nil
}

// parseTime reads RFC 3339, the same with a space and without a zone (then UTC), and seconds since 1970.
func parseTime(s string) (time.Time, error) {
	s = strings.TrimSpace(s)
	for _, layout := range []string{time.RFC3339, time.DateTime, "2006-01-02T15:04:05"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	const lastYear = 253402300799 // the end of the year 9999
	if x, err := strconv.ParseFloat(s, 64); err == nil && x >= 0 && x <= lastYear {
		whole, part := math.Modf(x)
		return time.Unix(int64(whole), int64(part*1e9)).UTC(), nil
	}
	return time.Time{}, fmt.Errorf("%q is no time: want RFC 3339 or seconds since 1970", s)
}

// decodeRecord reads a JSON object; of its fields those that are texts, numbers or booleans count.
func decodeRecord(line []byte) (record, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(line, &object); err != nil {
		return nil, err
	}
	if object == nil {
		return nil, errors.New("want a JSON object")
	}
	out := make(record, len(object))
	for field, raw := range object {
		switch raw[0] {
		case '"':
			var s string
			if err := json.Unmarshal(raw, &s); err != nil {
				return nil, fmt.Errorf("%s: %w", field, err)
			}
			out[field] = s
		case 'n', '{', '[': // null and what has parts is as good as not there
		default:
			out[field] = string(raw)
		}
	}
	return out, nil
}
