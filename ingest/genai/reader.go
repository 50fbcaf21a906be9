package genai

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// reader stores an attribute's value in the draft. It reports false, and stores nothing, when the value is of no use for
// the field: empty, of a wrong type, or out of range.
type reader func(d *draft, v pcommon.Value) bool

// attribute is a value that is only looked at once it is known which alias won, since parsing it is dear.
type attribute = pcommon.Value

// The largest count of tokens and duration that are believed. What lies beyond is a client's mistake, and sums would overflow.
const (
	maxCount   = 1 << 40
	maxSeconds = 365 * 24 * 3600
)

// name reads a short string. Numbers and booleans, as ids sometimes are, become their decimal text.
func name(field func(*draft) *string) reader {
	return func(d *draft, v pcommon.Value) bool {
		s := strings.TrimSpace(scalar(v))
		if s == "" {
			return false
		}
		*field(d) = d.cleanName(s)
		return true
	}
}

// text reads a long string. Structured values become JSON.
func text(field func(*draft) *string) reader {
	return func(d *draft, v pcommon.Value) bool {
		s := asText(v)
		if s == "" {
			return false
		}
		*field(d) = d.cleanText(s)
		return true
	}
}

// list reads an array of short strings, which may also arrive as one string or as a JSON array in a string.
func list(field func(*draft) *[]string) reader {
	return func(d *draft, v pcommon.Value) bool {
		var out []string
		add := func(s string) {
			if s != "" && len(out) < d.limits.MaxParts {
				out = append(out, d.cleanName(s))
			}
		}
		switch v.Type() {
		case pcommon.ValueTypeSlice:
			for _, e := range v.Slice().All() {
				add(scalar(e))
			}
		default:
			s := strings.TrimSpace(scalar(v))
			var items []string
			if strings.HasPrefix(s, "[") && json.Unmarshal([]byte(s), &items) == nil {
				for _, item := range items {
					add(item)
				}
			} else {
				add(s)
			}
		}
		if len(out) == 0 {
			return false
		}
		*field(d) = out
		return true
	}
}

// count reads a whole number from 0 to maxCount.
func count(field func(*draft) *int64) reader {
	return func(d *draft, v pcommon.Value) bool {
		f, ok := d.number(v)
		if !ok {
			return false
		}
		if f < 0 || f > maxCount {
			d.stats.Ignored++
			return false
		}
		*field(d) = int64(f)
		return true
	}
}

// amount reads a finite number that is not negative.
func amount(field func(*draft) *float64) reader { return bounded(field, math.MaxFloat64) }

// seconds reads a duration of at most a year.
func seconds(field func(*draft) *float64) reader { return bounded(field, maxSeconds) }

func bounded(field func(*draft) *float64, limit float64) reader {
	return func(d *draft, v pcommon.Value) bool {
		f, ok := d.number(v)
		if !ok {
			return false
		}
		if f < 0 || f > limit {
			d.stats.Ignored++
			return false
		}
		*field(d) = f
		return true
	}
}

// score reads the score of an evaluation, of any sign.
func score(d *draft, v pcommon.Value) bool {
	f, ok := d.number(v)
	if ok {
		d.evaluation.Score, d.evaluation.HasScore = f, true
	}
	return ok
}

// value keeps the attribute for later.
func value(field func(*draft) *attribute) reader {
	return func(d *draft, v pcommon.Value) bool {
		if isEmpty(v) {
			return false
		}
		*field(d) = v
		return true
	}
}

// number reads a finite number, also from a string. Others are counted as ignored.
func (d *draft) number(v pcommon.Value) (float64, bool) {
	var f float64
	switch v.Type() {
	case pcommon.ValueTypeInt:
		f = float64(v.Int())
	case pcommon.ValueTypeDouble:
		f = v.Double()
	case pcommon.ValueTypeStr:
		var err error
		if f, err = strconv.ParseFloat(strings.TrimSpace(v.Str()), 64); err != nil {
			d.stats.Ignored++
			return 0, false
		}
	case pcommon.ValueTypeEmpty:
		return 0, false
	default:
		d.stats.Ignored++
		return 0, false
	}
	if !finite(f) {
		d.stats.Ignored++
		return 0, false
	}
	return f, true
}

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

// scalar is the text of a string, number or boolean, and "" for everything else.
func scalar(v pcommon.Value) string {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		return v.Str()
	case pcommon.ValueTypeInt, pcommon.ValueTypeDouble, pcommon.ValueTypeBool:
		return v.AsString()
	}
	return ""
}

// asText is the text of a scalar, and JSON for a structured value.
func asText(v pcommon.Value) string {
	switch v.Type() {
	case pcommon.ValueTypeMap, pcommon.ValueTypeSlice:
		return string(appendJSON(nil, v, 0))
	case pcommon.ValueTypeBytes:
		return string(v.Bytes().AsRaw())
	}
	return scalar(v)
}

func isEmpty(v pcommon.Value) bool {
	switch v.Type() {
	case pcommon.ValueTypeEmpty:
		return true
	case pcommon.ValueTypeStr:
		return v.Str() == ""
	case pcommon.ValueTypeSlice:
		return v.Slice().Len() == 0
	case pcommon.ValueTypeMap:
		return v.Map().Len() == 0
	}
	return false
}

// maxDepth bounds how deep structured values are followed. No known client nests messages deeper than 8.
const maxDepth = 32

// appendJSON writes a structured value as JSON, so that one parser reads structured messages and those in strings alike.
// Numbers that JSON does not know, and what lies too deep, become null.
func appendJSON(dst []byte, v pcommon.Value, depth int) []byte {
	if depth > maxDepth {
		return append(dst, "null"...)
	}
	switch v.Type() {
	case pcommon.ValueTypeStr:
		return appendQuoted(dst, v.Str())
	case pcommon.ValueTypeBytes:
		return appendQuoted(dst, v.AsString())
	case pcommon.ValueTypeInt:
		return strconv.AppendInt(dst, v.Int(), 10)
	case pcommon.ValueTypeBool:
		return strconv.AppendBool(dst, v.Bool())
	case pcommon.ValueTypeDouble:
		if f := v.Double(); finite(f) {
			return strconv.AppendFloat(dst, f, 'g', -1, 64)
		}
	case pcommon.ValueTypeSlice:
		dst = append(dst, '[')
		for i, e := range v.Slice().All() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSON(dst, e, depth+1)
		}
		return append(dst, ']')
	case pcommon.ValueTypeMap:
		return appendObject(dst, v.Map(), depth)
	}
	return append(dst, "null"...)
}

func appendObject(dst []byte, m pcommon.Map, depth int) []byte {
	dst = append(dst, '{')
	first := true
	for k, e := range m.All() {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(appendQuoted(dst, k), ':')
		dst = appendJSON(dst, e, depth+1)
	}
	return append(dst, '}')
}

func appendQuoted(dst []byte, s string) []byte {
	const hexDigits = "0123456789abcdef"
	dst = append(dst, '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
