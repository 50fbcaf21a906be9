package api

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

const (
	keyPrefix   = "sk-sentinel-"
	keyIDBytes  = 8
	secretBytes = 32
	maxKeyName  = 64
)

// Strict decoding leaves each secret exactly one spelling.
var secretEncoding = base64.RawURLEncoding.Strict()

// NewKey makes an API key: the text to hand to its user, which cannot be had again, and the record to store.
// The text is "sk-sentinel-<id>-<secret>", the id in hex and the secret 32 random bytes in base64url.
func NewKey(name, scope string) (plain string, key engine.APIKey, err error) {
	if name == "" || len(name) > maxKeyName {
		return "", engine.APIKey{}, engine.Errorf(engine.CodeInvalid, "key name: want 1 to %d bytes, got %d", maxKeyName, len(name))
	}
	if !engine.KnownScope(scope) {
		return "", engine.APIKey{}, engine.Errorf(engine.CodeInvalid, "key scope %q: want %s, %s or %s",
			scope, engine.ScopeIngest, engine.ScopeRead, engine.ScopeAdmin)
	}
	var random [keyIDBytes + secretBytes]byte
	_, _ = rand.Read(random[:]) // never fails: the process ends when the system has no randomness
	secret := random[keyIDBytes:]
	hash := sha256.Sum256(secret)
	key = engine.APIKey{ID: hex.EncodeToString(random[:keyIDBytes]), Name: name, Hash: hash[:], Scope: scope, Created: time.Now().UTC()}
	return keyPrefix + key.ID + "-" + secretEncoding.EncodeToString(secret), key, nil
}

// parseKey splits the text of a key into its id and the hash of its secret.
func parseKey(plain string) (id string, hash [sha256.Size]byte, ok bool) {
	rest, found := strings.CutPrefix(plain, keyPrefix)
	if !found {
		return "", hash, false
	}
	id, encoded, found := strings.Cut(rest, "-")
	if !found || len(id) != hex.EncodedLen(keyIDBytes) || len(encoded) != secretEncoding.EncodedLen(secretBytes) {
		return "", hash, false
	}
	secret, err := secretEncoding.DecodeString(encoded)
	if err != nil {
		return "", hash, false
	}
	return id, sha256.Sum256(secret), true
}

// permits reports whether a key of scope have may do what needs scope want.
func permits(have, want string) bool {
	return have == want || have == engine.ScopeAdmin
}
