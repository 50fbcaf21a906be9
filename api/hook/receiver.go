package hook

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

const (
	maxDescription = 1024            // bytes
	clockSlack     = 5 * time.Minute // how far ahead of ours a sender's clock may be
)

// Receiver reads deliveries. It is safe for concurrent use.
type Receiver struct{ cfg Config }

// New makes a Receiver.
func New(cfg Config) (*Receiver, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("hook: %w", err)
	}
	return &Receiver{cfg: cfg}, nil
}

// Outcome is what a delivery comes to: markers, a ping, or a reason why it marks nothing.
type Outcome struct {
	Markers []engine.ChangeMarker
	Ping    bool   // the sender only tries whether somebody listens
	Ignored string // why there are no markers
}

// FieldError names the field of a body, or the header, that is missing or wrong.
type FieldError struct {
	Field  string
	Detail string
}

// Error is the field and what is wrong with it.
func (e *FieldError) Error() string { return e.Field + ": " + e.Detail }

// change is what a delivery says, in the words of its source.
type change struct {
	ping    bool
	ignored string

	key         []string // what makes it this change and no other
	at          time.Time
	kind        engine.MarkerKind
	name        string // of the repository, project, application or model
	environment string // "" where the source knows none
	subject     string
	version     string
	images      map[string]string // versions by the name of a container image, which is more than the version of all
	previous    string
	description string
}

// format is how a source signs and what it writes.
type format struct {
	verify func(secret engine.Secret, header http.Header, body []byte, now time.Time) error
	decode func(header http.Header, body []byte) (change, error)
	// anonymous says that a name which is not in the configuration is no service: its changes concern any.
	anonymous bool
}

var formats = map[string]format{
	GitHub: {verify: verifyGitHub, decode: decodeGitHub},
	GitLab: {verify: verifyGitLab, decode: decodeGitLab},
	ArgoCD: {verify: verifyArgoCD, decode: decodeArgoCD},
	MLflow: {verify: verifyMLflow, decode: decodeMLflow, anonymous: true},
}

// Configured returns CodeNotFound for a source that is unknown or has no secret. It costs nothing: ask before a body is read.
func (r *Receiver) Configured(source string) error {
	if r.cfg.of(source).Secret == "" {
		return engine.Errorf(engine.CodeNotFound, "webhooks of %s are not taken: no secret is configured (hooks.%s.secret)", source, source)
	}
	return nil
}

// Read makes markers of a delivery. Errors are a FieldError for a body that cannot be used, or have CodeNotFound for a source
// that is not configured and CodeUnauthorized for a delivery that does not prove where it comes from.
func (r *Receiver) Read(source string, header http.Header, body []byte, now time.Time) (Outcome, error) {
	if err := r.Configured(source); err != nil {
		return Outcome{}, err
	}
	cfg, f := r.cfg.of(source), formats[source]
	if err := f.verify(cfg.Secret, header, body, now); err != nil {
		return Outcome{}, err
	}
	c, err := f.decode(header, body)
	switch {
	case err != nil:
		return Outcome{}, err
	case c.ping:
		return Outcome{Ping: true}, nil
	case c.ignored != "":
		return Outcome{Ignored: c.ignored}, nil
	case c.environment != "" && !counts(cfg.Environments, c.environment):
		return Outcome{Ignored: fmt.Sprintf("environment %q is not among hooks.%s.environments", clean(c.environment, maxName), source)}, nil
	}
	c.version = clean(c.version, maxName)
	if c.version == "" {
		return Outcome{}, &FieldError{"version", "has no text"}
	}
	services, mapped := cfg.Services[c.name]
	if !mapped {
		services = []string{""}
		if !f.anonymous {
			services[0] = clean(lastSegment(c.name), maxName)
			if services[0] == "" {
				return Outcome{}, &FieldError{"name", fmt.Sprintf("%q ends with no name of a service", clean(c.name, maxName))}
			}
		}
	}
	if len(services) == 0 {
		return Outcome{Ignored: fmt.Sprintf("%q changes no service, says hooks.%s.services", clean(c.name, maxName), source)}, nil
	}
	var out Outcome
	for _, service := range services {
		out.Markers = append(out.Markers, c.marker(source, service, cfg.VersionPrefix, now))
	}
	return out, nil
}

func (c change) marker(source, service, prefix string, now time.Time) engine.ChangeMarker {
	version := cmp.Or(c.images[lastSegment(service)], c.images[lastSegment(c.name)], c.version)
	at := c.at.UTC()
	if at.IsZero() || at.After(now.Add(clockSlack)) {
		at = now.UTC()
	}
	return engine.ChangeMarker{
		ID: identify(source, service, c.key), At: at, Kind: c.kind, Service: service, Subject: clean(c.subject, maxName),
		Version: cut(version, prefix), Previous: cut(clean(c.previous, maxName), prefix),
		Description: clean(c.description, maxDescription), Source: source,
	}
}

// cut removes the prefix of a version, unless there is nothing else.
func cut(version, prefix string) string { return cmp.Or(strings.TrimPrefix(version, prefix), version) }

// identify makes the id of a marker from what it is about.
func identify(source, service string, key []string) string {
	content, err := json.Marshal(append([]string{source, service}, key...))
	if err != nil { // strings always marshal
		return ""
	}
	return uuid.NewSHA1(uuid.NameSpaceURL, content).String()
}

func counts(environments []string, environment string) bool {
	return len(environments) == 0 || slices.ContainsFunc(environments, func(e string) bool { return strings.EqualFold(e, environment) })
}

func lastSegment(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }

// clean makes text of a sender fit to be kept: valid UTF-8, one line, at most limit bytes.
func clean(text string, limit int) string {
	text = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, "\uFFFD"), func(r rune) bool {
		return unicode.IsControl(r) || unicode.IsSpace(r)
	}), " ")
	if len(text) <= limit {
		return text
	}
	const mark = "…"
	end := limit - len(mark)
	for end > 0 && text[end]&0xC0 == 0x80 { // not within a character
		end--
	}
	return text[:end] + mark
}

// decodeJSON reads the body into dst and says where it does not fit. Fields that dst has not are the sender's business.
func decodeJSON(body []byte, dst any) error {
	err := json.Unmarshal(body, dst)
	var wrongType *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wrongType) && wrongType.Field != "":
		return &FieldError{wrongType.Field, fmt.Sprintf("want %s, got %s", wrongType.Type, wrongType.Value)}
	case errors.As(err, &syntax):
		return engine.Errorf(engine.CodeInvalid, "not valid JSON at byte %d: %w", syntax.Offset, err)
	}
	return engine.Errorf(engine.CodeInvalid, "not a JSON object of the expected shape: %w", err)
}

// needed returns an error for the first field that is empty. Fields are pairs of name and value.
func needed(fields ...string) error {
	for i := 0; i+1 < len(fields); i += 2 {
		if strings.TrimSpace(fields[i+1]) == "" {
			return &FieldError{fields[i], "is needed"}
		}
	}
	return nil
}
