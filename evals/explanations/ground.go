package explanations

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// ground is what a note of one incident may say: the figures and the text of the incident and its evidence.
type ground struct {
	numbers []float64
	text    string // lower case, one space between words
}

// newGround takes all fields of the incident and its evidence, and what follows from them: ratios of effects and times to the minute.
func newGround(in engine.Incident, ev engine.Evidence) (ground, error) {
	in.Evidence, in.Explanation, in.Timeline = nil, nil, nil
	data, err := json.Marshal([]any{in, ev})
	if err != nil {
		return ground{}, fmt.Errorf("explanations: evidence of %s: %w", in.ID, err)
	}
	var value any
	if err := json.Unmarshal(data, &value); err != nil {
		return ground{}, fmt.Errorf("explanations: evidence of %s: %w", in.ID, err)
	}
	var g ground
	var words strings.Builder
	g.walk(value, &words)
	g.numbers = append(g.numbers, in.Effect.Ratio())
	for _, c := range ev.Changes {
		g.numbers = append(g.numbers, c.Effect.Ratio())
	}
	g.text = normal(words.String())
	return g, nil
}

func (g *ground) walk(value any, words *strings.Builder) {
	switch v := value.(type) {
	case float64:
		g.numbers = append(g.numbers, v)
	case string:
		words.WriteString(v + "\n")
		if at, err := time.Parse(time.RFC3339Nano, v); err == nil {
			words.WriteString(at.UTC().Format("2006-01-02 15:04") + "\n")
		}
	case []any:
		for _, x := range v {
			g.walk(x, words)
		}
	case map[string]any: // the order does not matter: nothing is looked up across fields
		for _, x := range v {
			g.walk(x, words)
		}
	}
}

// normal is a text as notes show it: one line of visible characters, in lower case, with no backquote in it.
func normal(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Cc, unicode.Cf) && !unicode.IsSpace(r) {
			return -1
		}
		return r
	}, text)
	return strings.ToLower(strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "`", "'"))
}

var (
	citedPattern  = regexp.MustCompile(`\bE\d+\b`)
	quotedPattern = regexp.MustCompile("`([^`]*)`")
	tokenPattern  = regexp.MustCompile(`[\p{L}\p{N}][\p{L}\p{N}_.,:/@-]*`)
	figurePattern = regexp.MustCompile(`^(\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)(\p{L}*)$`)
	afterPattern  = regexp.MustCompile(`^\s?(%|\p{L}+)`)
)

// scales are the units in which notes write a figure that the evidence has in another.
var scales = map[string]float64{"%": 0.01, "percent": 0.01, "ms": 1e-3, "milliseconds": 1e-3, "minutes": 60, "min": 60, "hours": 3600, "h": 3600, "k": 1e3}

// unsupported lists what a claim says and the ground does not: quoted names and texts, other names with a digit, and figures.
func (g ground) unsupported(claim string) []string {
	claim = citedPattern.ReplaceAllString(claim, " ")
	var out []string
	for _, m := range quotedPattern.FindAllStringSubmatch(claim, -1) {
		quoted := strings.TrimSuffix(normal(m[1]), "…")
		if !strings.Contains(g.text, strings.TrimSpace(quoted)) {
			out = append(out, m[1])
		}
	}
	claim = quotedPattern.ReplaceAllString(claim, " ")
	for _, at := range tokenPattern.FindAllStringIndex(claim, -1) {
		token := strings.TrimRight(claim[at[0]:at[1]], ".,:/-_@")
		switch {
		case !strings.ContainsFunc(token, unicode.IsNumber):
		case g.shows(token, claim[at[0]+len(token):]):
		case !isFigure(token) && contains(g.text, strings.ToLower(token)):
		default:
			out = append(out, token)
		}
	}
	return out
}

// longFigure is a length, in bytes, from which digits are an identifier.
const longFigure = 16

// isFigure reports whether the token is a number: one in a text or a time of the ground does not make it true.
func isFigure(token string) bool { return len(token) < longFigure && figurePattern.MatchString(token) }

// shows reports whether the token is a figure that rounds one of the ground. A percentage rounds a proportion.
func (g ground) shows(token, after string) bool {
	m := figurePattern.FindStringSubmatch(token)
	if m == nil {
		return false
	}
	digits := strings.ReplaceAll(m[1], ",", "")
	value, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		return false
	}
	unit := m[2]
	if next := afterPattern.FindStringSubmatch(after); unit == "" && next != nil {
		unit = next[1]
	}
	half := 0.5
	if _, decimals, ok := strings.Cut(digits, "."); ok {
		half = 0.5 * math.Pow10(-len(decimals))
	}
	unit = strings.ToLower(unit)
	scale, scaled := scales[unit]
	share := unit == "%" || unit == "percent"
	return slices.ContainsFunc(g.numbers, func(x float64) bool {
		return !share && rounds(value, half, x) || scaled && rounds(value*scale, half*scale, x)
	})
}

// slackShare is what notes round beyond the last digit: 99.99 % is written 99.9 %, since it is not all.
const slackShare = 0.002

func rounds(value, half, original float64) bool {
	return math.Abs(value-original) <= max(half, slackShare*math.Abs(original))+1e-12
}

// contains reports whether text has the token, not merely inside a longer word or number. Both are in lower case.
func contains(text, token string) bool {
	for from := 0; token != ""; {
		at := strings.Index(text[from:], token)
		if at < 0 {
			return false
		}
		at += from
		before, _ := utf8.DecodeLastRuneInString(text[:at])
		next, _ := utf8.DecodeRuneInString(text[at+len(token):])
		if !isWord(before) && !isWord(next) {
			return true
		}
		from = at + len(token)
	}
	return false
}

func isWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) }
