package redact

import (
	"cmp"
	"slices"
	"strings"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Config says what is redacted.
type Config struct {
	// Types switches kinds off: {phone: false}. A kind that is not named is on.
	Types map[engine.SensitiveKind]bool `yaml:"types"`
}

// DefaultConfig redacts every kind.
func DefaultConfig() Config {
	types := map[engine.SensitiveKind]bool{}
	for kind := range placeholders {
		types[kind] = true
	}
	return Config{Types: types}
}

// Validate reports kinds that do not exist.
func (c Config) Validate() error {
	for kind := range c.Types {
		if _, ok := placeholders[kind]; !ok {
			return engine.Errorf(engine.CodeInvalid, "redact: types: unknown type %q, want one of card, email, iban, ip_address, phone, secret_key", kind)
		}
	}
	return nil
}

var placeholders = map[engine.SensitiveKind]string{
	engine.SensitiveEmail: "[EMAIL]",
	engine.SensitivePhone: "[PHONE]",
	engine.SensitiveCard:  "[CARD]",
	engine.SensitiveIBAN:  "[IBAN]",
	engine.SensitiveIP:    "[IP]",
	engine.SensitiveKey:   "[KEY]",
}

// Redactor implements [engine.Redactor]. It is safe for concurrent use.
type Redactor struct {
	on enabled
}

type enabled struct{ email, phone, card, iban, ip, key bool }

var _ engine.Redactor = (*Redactor)(nil)

// New makes a redactor.
func New(cfg Config) (*Redactor, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	on := func(kind engine.SensitiveKind) bool {
		v, named := cfg.Types[kind]
		return v || !named
	}
	return &Redactor{on: enabled{
		email: on(engine.SensitiveEmail), phone: on(engine.SensitivePhone), card: on(engine.SensitiveCard),
		iban: on(engine.SensitiveIBAN), ip: on(engine.SensitiveIP), key: on(engine.SensitiveKey),
	}}, nil
}

// maxPasses bounds the search for what only shows once its neighbour is replaced. Two passes do for all but made-up texts.
const maxPasses = 8

// Redact returns the text with placeholders, and what they stand for, in order of position.
func (r *Redactor) Redact(text string) (string, []engine.Sensitive) {
	s := scanner{on: r.on}
	found := s.scan(text)
	if len(found) == 0 {
		return text, nil
	}
	out := replace(text, found)
	// A placeholder is a new neighbour: a number that was part of a longer word may stand alone now.
	for range maxPasses {
		more := s.scan(out)
		if len(more) == 0 {
			break
		}
		found = resolve(append(found, toOriginal(more, found)...))
		out = replace(text, found)
	}
	return out, found
}

// replace puts the placeholders in. found is in order and without overlaps.
func replace(text string, found []engine.Sensitive) string {
	var out strings.Builder
	out.Grow(len(text))
	at := 0
	for _, f := range found {
		out.WriteString(text[at:f.Start])
		out.WriteString(placeholders[f.Kind])
		at = f.End
	}
	out.WriteString(text[at:])
	return out.String()
}

// toOriginal moves findings in a redacted text back to offsets of the original. No scanner matches brackets, so a finding lies
// between placeholders.
func toOriginal(more, found []engine.Sensitive) []engine.Sensitive {
	moved := make([]engine.Sensitive, 0, len(more))
	shift, i := 0, 0
	for _, m := range more {
		for i < len(found) && found[i].Start+shift <= m.Start {
			shift += len(placeholders[found[i].Kind]) - (found[i].End - found[i].Start)
			i++
		}
		m.Start, m.End = m.Start-shift, m.End-shift
		moved = append(moved, m)
	}
	return moved
}

// resolve orders findings and joins those that overlap into one of the kind of the longest, so that no piece of either stays.
func resolve(found []engine.Sensitive) []engine.Sensitive {
	if len(found) < 2 {
		return found
	}
	slices.SortFunc(found, func(a, b engine.Sensitive) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(b.End, a.End), cmp.Compare(rank(a.Kind), rank(b.Kind)))
	})
	out := found[:1]
	longest := found[0].End - found[0].Start
	for _, f := range found[1:] {
		last := &out[len(out)-1]
		if f.Start >= last.End {
			out = append(out, f)
			longest = f.End - f.Start
			continue
		}
		if f.End-f.Start > longest {
			longest, last.Kind = f.End-f.Start, f.Kind
		}
		last.End = max(last.End, f.End)
	}
	return out
}

// rank orders kinds from the most to the least specific, for matches of the same extent.
func rank(kind engine.SensitiveKind) int {
	return slices.Index([]engine.SensitiveKind{engine.SensitiveKey, engine.SensitiveIBAN, engine.SensitiveCard, engine.SensitiveIP, engine.SensitiveEmail, engine.SensitivePhone}, kind)
}
