package engine

import "time"

// APIKey is a key of the REST API. Only a hash of the secret is kept.
type APIKey struct {
	ID       string     `json:"id"`
	Name     string     `json:"name"`
	Hash     []byte     `json:"-"`     // SHA-256 of the secret, which is 32 random bytes
	Scope    string     `json:"scope"` // one of the scopes below
	Created  time.Time  `json:"created"`
	LastUsed *time.Time `json:"last_used,omitempty"`
	Revoked  *time.Time `json:"revoked,omitempty"`
}

// What an API key allows.
const (
	ScopeIngest = "ingest" // send telemetry and events
	ScopeRead   = "read"   // look
	ScopeAdmin  = "admin"  // all
)

// KnownScope reports whether there is such a scope.
func KnownScope(scope string) bool {
	return scope == ScopeIngest || scope == ScopeRead || scope == ScopeAdmin
}
