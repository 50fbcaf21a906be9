package security

import (
	"cmp"
	"slices"
	"strings"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// class is what kind of thing an event tells of.
type class uint8

const (
	use     class = iota // nothing bad: a key was used
	success              // a login succeeded
	attack               // somebody tried what the guard is there to stop
	limit                // a rate limit was exceeded
	failure              // a login failed
)

// event is a security event as the patterns see it.
type event struct {
	*engine.SecurityEvent
	class    class
	tick     int64            // of its time
	subjects []engine.Subject // who, in the order in which they are blamed
}

// read makes an event ready. Identities are cut to a bounded length; placeholders are none.
func (s *Screener) read(e *engine.SecurityEvent) event {
	out := event{SecurityEvent: e, class: classOf(e), tick: s.tick(e.At)}
	for _, who := range []engine.Subject{
		{Kind: engine.SubjectAPIKey, Value: e.APIKey},
		{Kind: engine.SubjectUser, Value: e.User},
		{Kind: engine.SubjectSession, Value: detail(e, "session_id", "session", "session.id", "conversation_id")},
		{Kind: engine.SubjectSource, Value: detail(e, "source_ip", "ip", "client_ip", "remote_ip", "ip_address")},
		{Kind: engine.SubjectTenant, Value: detail(e, "tenant", "tenant_id", "tenant.id", "organization")},
	} {
		if who.Value = shorten(who.Value, maxIdentity); who.Value != "" && !placeholders[strings.ToLower(who.Value)] {
			out.subjects = append(out.subjects, who)
		}
	}
	return out
}

const maxIdentity = 200 // bytes

var placeholders = map[string]bool{
	"-": true, "none": true, "null": true, "nil": true, "unknown": true, "anonymous": true, "guest": true, "n/a": true,
}

// subject is the event's subject of one kind.
func (e *event) subject(kind string) (engine.Subject, bool) {
	for _, who := range e.subjects {
		if who.Kind == kind {
			return who, true
		}
	}
	return engine.Subject{}, false
}

// service is whom the event's finding belongs to.
func (e *event) service() string { return cmp.Or(shorten(e.Service, maxIdentity), "unknown_service") }

// signature tells like attacks from unlike ones: the type, and the rule or pattern that matched where the guard names it.
func (e *event) signature() engine.Subject {
	value := plain(e.Type)
	if d := detail(e.SecurityEvent, "signature", "pattern", "rule", "rule_id", "technique", "attack", "category", "detail"); d != "" {
		value += "/" + strings.ToLower(d)
	}
	return engine.Subject{Kind: engine.SubjectSignature, Value: shorten(value, 96)}
}

// detail returns the first of the named details that is there.
func detail(e *engine.SecurityEvent, names ...string) string {
	for _, name := range names {
		if v := strings.TrimSpace(e.Details[name]); v != "" {
			return v
		}
	}
	return ""
}

func shorten(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "")
}

// plain is a type in one spelling: "Login-Failed" and "login.failed" are login_failed.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case '-', '.', ' ', '/', ':':
			return '_'
		}
		return r
	}, strings.ToLower(text))
}

// The words by which types are told apart.
var (
	loginWords   = []string{"login", "logins", "logon", "signin", "auth", "authn", "authentication", "mfa", "otp", "password", "credential", "credentials", "key", "token"}
	failWords    = []string{"fail", "fails", "failed", "failure", "failures", "denied", "invalid", "rejected", "wrong", "locked", "false", "error"}
	successWords = []string{"success", "succeeded", "successful", "ok", "granted", "accepted", "true"}
	useTypes     = []string{"login", "logon", "signin", "sign_in", "auth", "authentication", "key_used", "api_key_used", "access", "request"}
	limitWords   = []string{"rate_limit", "ratelimit", "rate_limited", "throttl", "quota", "too_many_requests"}
)

// classOf reads the class from the type and, for logins whose type does not say how they ended, from the details. What is not
// known to be anything else is an attack: guards do not report what is in order.
func classOf(e *engine.SecurityEvent) class {
	t := plain(e.Type)
	if slices.ContainsFunc(limitWords, func(w string) bool { return strings.Contains(t, w) }) {
		return limit
	}
	words := strings.Split(t, "_")
	isUse := slices.Contains(useTypes, strings.TrimSuffix(strings.TrimSuffix(t, "_attempt"), "_event"))
	if isUse || holds(words, loginWords) || strings.Contains(t, "sign_in") {
		if isUse {
			words = strings.Split(plain(detail(e, "outcome", "result", "status", "success")), "_")
		}
		switch {
		case holds(words, failWords):
			return failure
		case holds(words, successWords):
			return success
		case isUse:
			return use
		}
	}
	return attack
}

func holds(words, any []string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return slices.Contains(any, w) })
}

// letThrough reports whether the guard let the request through, and whether it said so at all.
func letThrough(e *engine.SecurityEvent) (through, known bool) {
	switch strings.ToLower(detail(e, "blocked")) {
	case "true":
		return false, true
	case "false":
		return true, true
	}
	switch strings.ToLower(detail(e, "action", "decision", "outcome")) {
	case "allow", "allowed", "pass", "passed", "detect", "detected", "log", "logged", "monitor", "monitored", "flag", "flagged", "alert", "warn":
		return true, true
	case "block", "blocked", "deny", "denied", "reject", "rejected", "drop", "dropped", "quarantine", "quarantined", "redact", "redacted", "sanitized":
		return false, true
	}
	return false, false
}
