package explain

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

const (
	maxTermRunes    = 30  // of a word
	maxValueRunes   = 120 // of a name or a version
	maxExcerptRunes = 240 // of a text
)

// number writes three significant digits, whole numbers in full, never an exponent.
func number(v float64) string {
	abs := math.Abs(v)
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return "an unknown number"
	case abs < 1e-9:
		return "0"
	case abs >= 100 || v == math.Trunc(v):
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	decimals := 2 - int(math.Floor(math.Log10(abs)))
	return strings.TrimRight(strings.TrimRight(strconv.FormatFloat(v, 'f', decimals, 64), "0"), ".")
}

// percent writes a proportion. What is not all or nothing never reads as 100 % or 0 %.
func percent(p float64) string {
	v := 100 * p
	switch {
	case v > 99 && v < 100:
		return strconv.FormatFloat(math.Min(v, 99.9), 'f', 1, 64) + " %"
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 0, 64) + " %"
	case v > 0 && v < 0.1:
		return number(v) + " %"
	}
	return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0") + " %"
}

func quantity(v float64, unit string) string {
	switch unit {
	case "ratio", engine.UnitProportion:
		return percent(v)
	case "similarity", "":
		return number(v)
	}
	return number(v) + " " + unit
}

// effect writes "from 0.9 s to 3.4 s (×3.78)".
func effect(e engine.Effect) string {
	out := "from " + quantity(e.Baseline, e.Unit) + " to " + quantity(e.Current, e.Unit)
	if r := e.Ratio(); r >= 1.05 || (r > 0 && r <= 0.95) {
		out += " (×" + number(r) + ")"
	}
	return out
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// code shows a name or text that comes from telemetry: on one line, of bounded length, as a Markdown code span that it cannot end.
func code(v string) string { return span(v, maxValueRunes) }

func excerpt(text string) string { return span(text, maxExcerptRunes) }

func span(v string, limit int) string {
	return "`" + strings.ReplaceAll(clean(v, limit), "`", "'") + "`"
}

// clean makes a text one line of visible characters, cut to the limit.
func clean(v string, limit int) string {
	v = strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Cc, unicode.Cf) && !unicode.IsSpace(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(v, "�"))
	v = strings.Join(strings.Fields(v), " ")
	if runes := []rune(v); len(runes) > limit {
		v = string(runes[:limit]) + "…"
	}
	return v
}

// list joins "a", "a and b", "a, b and c".
func list(items []string) string {
	if n := len(items); n > 1 {
		return strings.Join(items[:n-1], ", ") + " and " + items[n-1]
	}
	return strings.Join(items, "")
}

// words turns an identifier such as "model_version" into "model version".
func words(id string) string {
	switch id {
	case engine.SubjectAPIKey:
		return "API key"
	}
	return strings.NewReplacer("_", " ", "`", "'", "<", "‹", ">", "›", "[", "(", "]", ")").Replace(clean(id, maxValueRunes))
}

func sentenceCase(s string) string {
	for i, r := range s {
		return string(unicode.ToUpper(r)) + s[i+len(string(r)):]
	}
	return s
}
