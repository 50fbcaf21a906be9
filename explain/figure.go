package explain

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// figure is a number in a text, in its base unit: seconds for times, proportions for percentages.
type figure struct {
	value float64
	step  float64 // half a unit of the last digit that is written
	unit  string  // "share", "s", "times", or "" for counts and what has another unit
	text  string  // as written
}

// tolerance is how far a rounded figure may be from the original, relative to it.
const tolerance = 0.1

var (
	tokenPattern   = regexp.MustCompile(`[\p{L}\p{N}][\p{L}\p{N}_.,:/@-]*`)
	figurePattern  = regexp.MustCompile(`^(\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)-?([\p{L}]*)$`)
	rangePattern   = regexp.MustCompile(`^(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)$`)
	listPattern    = regexp.MustCompile(`(?m)^\s*\d{1,2}[.)]\s`)
	citedPattern   = regexp.MustCompile(`\[\s*E\d+(?:\s*,\s*E\d+)*\s*\]|\bE\d+\b`)
	factIDPattern  = regexp.MustCompile(`E\d+`)
	urlPattern     = regexp.MustCompile(`(?i)\b(?:[a-z][a-z0-9+.-]*://|www\.)[^\s<>"'` + "`" + `)\]]+`)
	hexPattern     = regexp.MustCompile(`\b(?:[0-9a-fA-F]{32}|[0-9a-fA-F]{16})\b`)
	unitAfterToken = regexp.MustCompile(`^\s?(%|[\p{L}]+)`)
)

var units = map[string]struct {
	name  string
	scale float64
}{
	"%": {"share", 0.01}, "percent": {"share", 0.01}, "pct": {"share", 0.01},
	"ms": {"s", 0.001}, "millisecond": {"s", 0.001}, "milliseconds": {"s", 0.001},
	"s": {"s", 1}, "sec": {"s", 1}, "secs": {"s", 1}, "second": {"s", 1}, "seconds": {"s", 1},
	"min": {"s", 60}, "mins": {"s", 60}, "minute": {"s", 60}, "minutes": {"s", 60},
	"h": {"s", 3600}, "hour": {"s", 3600}, "hours": {"s", 3600},
	"x": {"times", 1}, "times": {"times", 1}, "fold": {"times", 1},
	"k": {"", 1e3}, "thousand": {"", 1e3}, "m": {"", 1e6}, "million": {"", 1e6},
}

// numerals are the number words that state a figure. "One" is left out: it is mostly a pronoun.
var numerals = map[string]figure{
	"two": {value: 2}, "three": {value: 3}, "four": {value: 4}, "five": {value: 5}, "six": {value: 6}, "seven": {value: 7},
	"eight": {value: 8}, "nine": {value: 9}, "ten": {value: 10}, "eleven": {value: 11}, "twelve": {value: 12}, "dozen": {value: 12},
	"twenty": {value: 20}, "thirty": {value: 30}, "forty": {value: 40}, "fifty": {value: 50}, "sixty": {value: 60},
	"seventy": {value: 70}, "eighty": {value: 80}, "ninety": {value: 90}, "hundred": {value: 100}, "thousand": {value: 1e3},
	"million": {value: 1e6}, "billion": {value: 1e9},
	"half": {value: 0.5, unit: "share"}, "twice": {value: 2, unit: "times"}, "double": {value: 2, unit: "times"},
	"doubled": {value: 2, unit: "times"}, "triple": {value: 3, unit: "times"}, "tripled": {value: 3, unit: "times"},
	"quadrupled": {value: 4, unit: "times"}, "twofold": {value: 2, unit: "times"}, "threefold": {value: 3, unit: "times"},
	"fourfold": {value: 4, unit: "times"}, "fivefold": {value: 5, unit: "times"}, "tenfold": {value: 10, unit: "times"},
}

// scan finds the figures of a text, and the names in it that have a digit, such as "gpt-4" or "14:02". Citations and
// the numbering of list items are neither.
func scan(text string) (figures []figure, names []string) {
	text = listPattern.ReplaceAllString(text, " ")
	text = citedPattern.ReplaceAllString(text, " ")
	for _, at := range tokenPattern.FindAllStringIndex(text, -1) {
		token := strings.TrimRight(text[at[0]:at[1]], ".,:/-_@")
		end := at[0] + len(token)
		if !strings.ContainsFunc(token, unicode.IsNumber) {
			if f, ok := numerals[strings.ToLower(token)]; ok {
				f.text, f.step = token, min(0.5, f.value/10)
				figures = append(figures, f)
			}
			continue
		}
		before, _ := utf8.DecodeLastRuneInString(text[:at[0]])
		if f, ok := parseFigure(token, text[end:], before); ok {
			figures = append(figures, f)
		} else if m := rangePattern.FindStringSubmatch(token); m != nil {
			from, _ := parseFigure(m[1], text[end:], before)
			to, _ := parseFigure(m[2], text[end:], before)
			figures = append(figures, from, to)
		} else {
			names = append(names, token)
		}
	}
	return figures, names
}

// parseFigure reads a token such as "3.4", "450ms" or "1,200", with the unit that follows or the sign × before it.
func parseFigure(token, after string, before rune) (figure, bool) {
	m := figurePattern.FindStringSubmatch(token)
	if m == nil {
		return figure{}, false
	}
	unit, known := units[strings.ToLower(m[2])]
	switch {
	case known:
	case m[2] != "":
		return figure{}, false
	case before == '×':
		unit = units["x"]
	default:
		if u := unitAfterToken.FindStringSubmatch(after); u != nil {
			unit = units[strings.ToLower(u[1])]
		}
	}
	scale := unit.scale
	if scale == 0 {
		scale = 1
	}
	digits := strings.ReplaceAll(m[1], ",", "")
	value, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		return figure{}, false
	}
	return figure{value: value * scale, step: scale * halfStep(digits, value), unit: unit.name, text: token}, true
}

// halfStep is half a unit of the last digit: 0.05 for "3.4", 0.5 for "42". The zeros at the end of a large number count as rounding.
func halfStep(digits string, value float64) float64 {
	if _, decimals, ok := strings.Cut(digits, "."); ok {
		return 0.5 * math.Pow10(-len(decimals))
	}
	zeros := len(digits) - len(strings.TrimRight(digits, "0"))
	if value < 1000 {
		zeros = 0
	}
	return 0.5 * math.Pow10(zeros)
}

// shows reports whether the figure f is the original, or a rounding of it. A figure without a unit may state a percentage as
// it is written or as a proportion.
func (f figure) shows(original figure) bool {
	switch {
	case f.unit == original.unit:
		return f.near(original.value)
	case f.unit == "":
		return f.near(original.value) || original.unit == "share" && f.near(100*original.value)
	case original.unit == "":
		return f.unit == "times" && f.near(original.value) || f.unit == "share" && original.value <= 1 && f.near(original.value)
	}
	return false
}

func (f figure) near(v float64) bool {
	off := math.Abs(f.value - v)
	return off <= f.step*1.0001+1e-12 && off <= tolerance*math.Abs(v)+1e-12
}
