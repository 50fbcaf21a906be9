package genai

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Limits bound what one span or log record may bring along. What is longer is cut and counted, never refused.
type Limits struct {
	MaxTextBytes int `yaml:"max_text_bytes"` // of one text: a message part, tool arguments, a document
	MaxNameBytes int `yaml:"max_name_bytes"` // of one name or id: a model, a user, a span name
	MaxMessages  int `yaml:"max_messages"`   // of one list of messages; the newest are kept
	MaxParts     int `yaml:"max_parts"`      // of one message
	MaxDocuments int `yaml:"max_documents"`  // of one retrieval

	// Spans that start longer ago than MaxAge, or start or end more than MaxAhead in the future, are refused: their clock
	// is wrong, and one such span would drag the watermark along.
	MaxAge   time.Duration `yaml:"max_age"`
	MaxAhead time.Duration `yaml:"max_ahead"`
}

// DefaultLimits returns limits that ordinary applications never reach.
func DefaultLimits() Limits {
	return Limits{
		MaxTextBytes: 64 << 10,
		MaxNameBytes: 512,
		MaxMessages:  512,
		MaxParts:     64,
		MaxDocuments: 128,
		MaxAge:       10 * 365 * 24 * time.Hour,
		MaxAhead:     24 * time.Hour,
	}
}

// Validate reports the first limit that makes no sense.
func (l Limits) Validate() error {
	for _, v := range []struct {
		name  string
		value int
	}{
		{"max_text_bytes", l.MaxTextBytes}, {"max_name_bytes", l.MaxNameBytes}, {"max_messages", l.MaxMessages},
		{"max_parts", l.MaxParts}, {"max_documents", l.MaxDocuments},
	} {
		if v.value < 1 {
			return engine.Errorf(engine.CodeInvalid, "genai: %s is %d, want at least 1", v.name, v.value)
		}
	}
	if l.MaxAge <= 0 || l.MaxAhead <= 0 {
		return engine.Errorf(engine.CodeInvalid, "genai: max_age %s and max_ahead %s must be above 0", l.MaxAge, l.MaxAhead)
	}
	return nil
}

// clean makes s valid UTF-8 of at most limit bytes, with a marker where something was cut.
func (d *draft) clean(s string, limit int) string {
	if over := len(s) - limit; over > 0 {
		at := limit
		for at > 0 && limit-at < utf8.UTFMax && !utf8.RuneStart(s[at]) {
			at--
		}
		d.stats.Cut++
		// The concatenation copies, so the long original is not kept alive.
		s = s[:at] + fmt.Sprintf("…[cut %d bytes]", len(s)-at)
	}
	if !utf8.ValidString(s) {
		d.stats.Repaired++
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	return s
}

func (d *draft) cleanText(s string) string { return d.clean(s, d.limits.MaxTextBytes) }

func (d *draft) cleanName(s string) string {
	if len(s) <= d.limits.MaxNameBytes && printableASCII(s) {
		return s
	}
	s = d.clean(s, d.limits.MaxNameBytes)
	if strings.IndexFunc(s, unprintable) < 0 {
		return s
	}
	d.stats.Repaired++
	return strings.Map(func(r rune) rune {
		if unprintable(r) {
			return -1
		}
		return r
	}, s)
}

// printableASCII is what nearly every name is, and quickly told.
func printableASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// unprintable are characters that no name needs and that a terminal would obey.
func unprintable(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf) }
