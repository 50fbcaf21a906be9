package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

const (
	verifiedFor   = 5 * time.Second // a revoked key works no longer than this
	touchEvery    = time.Minute     // last use is kept to the minute
	maxVerified   = 1024            // keys
	maxRemotes    = 4096            // addresses with failed attempts
	failureBurst  = 10              // wrong keys that an address may try at once,
	failureRefill = 6 * time.Second // and one more each such interval
)

// errForbidden marks a known key whose scope does not allow the request.
var errForbidden = errors.New("not allowed with this key")

// Authenticator checks API keys for one listener. It is safe for concurrent use.
//
// A verified key is remembered for a few seconds, so that a busy client costs no look-up each time. Wrong keys are limited
// for each remote address; keys that are remembered as good pass even from an address that is over the limit.
type Authenticator struct {
	keys     Keys
	required bool
	logger   *slog.Logger
	verified *lru.Cache[[sha256.Size]byte, verifiedKey]
	failures *lru.Cache[string, *rate.Limiter]
}

type verifiedKey struct {
	key     engine.APIKey
	checked time.Time
	touched time.Time
}

// NewAuthenticator makes an Authenticator. Where keys are not required, a request without one may do everything, and one with
// a key may do what the key allows. Config.KeysRequired tells which it is for a listener.
func NewAuthenticator(keys Keys, required bool, logger *slog.Logger) (*Authenticator, error) {
	if keys == nil {
		return nil, errors.New("api: authenticator: keys are missing")
	}
	verified, err := lru.New[[sha256.Size]byte, verifiedKey](maxVerified)
	if err != nil {
		return nil, err
	}
	failures, err := lru.New[string, *rate.Limiter](maxRemotes)
	if err != nil {
		return nil, err
	}
	return &Authenticator{keys: keys, required: required, logger: logger, verified: verified, failures: failures}, nil
}

type remoteKey struct{}

// WithRemote says where a request comes from (host:port or an address), so that its failed attempts are counted there.
// Without it they are not limited.
func WithRemote(ctx context.Context, remote string) context.Context {
	return context.WithValue(ctx, remoteKey{}, remote)
}

// Authorize reports whether the bearer of a key may do what needs scope. bearer is the key, with or without the word
// "Bearer" before it; "" is no key at all. Errors have engine.CodeUnauthorized, CodeFull after too many wrong keys, or
// the code of the key store.
func (a *Authenticator) Authorize(ctx context.Context, bearer, scope string) error {
	key, err := a.identify(ctx, trimBearer(bearer))
	if err != nil {
		return err
	}
	return permit(key, scope)
}

func permit(key *engine.APIKey, scope string) error {
	if key == nil || permits(key.Scope, scope) {
		return nil
	}
	return engine.Errorf(engine.CodeUnauthorized, "key %q has scope %s and this needs %s: %w", key.Name, key.Scope, scope, errForbidden)
}

// identify returns the key that plain spells, nil where there is none and none is required.
func (a *Authenticator) identify(ctx context.Context, plain string) (*engine.APIKey, error) {
	if plain == "" {
		if a.required {
			return nil, engine.Errorf(engine.CodeUnauthorized, "an API key is required")
		}
		return nil, nil
	}
	id, hash, ok := parseKey(plain)
	if !ok {
		return nil, a.refuse(ctx)
	}
	now := time.Now()
	entry, known := a.verified.Get(hash)
	if !known || now.Sub(entry.checked) >= verifiedFor {
		if wait := a.blocked(ctx); wait > 0 {
			return nil, &engine.Error{Code: engine.CodeFull, Message: "too many wrong API keys from this address", RetryAfter: wait}
		}
		key, err := a.keys.KeyByHash(ctx, hash[:])
		if engine.ErrorCode(err) == engine.CodeNotFound {
			return nil, a.refuse(ctx)
		}
		if err != nil {
			return nil, err
		}
		entry.key, entry.checked = key, now
		a.verified.Add(hash, entry)
	}
	// The look-up by hash already decides; comparing again costs nothing and stands a store that matches too loosely.
	if subtle.ConstantTimeCompare(entry.key.Hash, hash[:]) != 1 || entry.key.ID != id || entry.key.Revoked != nil {
		a.verified.Remove(hash)
		return nil, a.refuse(ctx)
	}
	if now.Sub(entry.touched) >= touchEvery {
		entry.touched = now
		a.verified.Add(hash, entry)
		if err := a.keys.TouchKey(ctx, id, now.UTC()); err != nil {
			a.logger.WarnContext(ctx, "last use of key not stored", "key", id, "error", err)
		}
	}
	return &entry.key, nil
}

// refuse counts a wrong key and says so.
func (a *Authenticator) refuse(ctx context.Context) error {
	if limiter := a.limiter(ctx); limiter != nil && !limiter.Allow() {
		return &engine.Error{Code: engine.CodeFull, Message: "too many wrong API keys from this address", RetryAfter: failureRefill}
	}
	return engine.Errorf(engine.CodeUnauthorized, "the API key is unknown or revoked")
}

// blocked says how long the remote must wait before another unknown key is looked up; 0 is not at all.
func (a *Authenticator) blocked(ctx context.Context) time.Duration {
	remote := remoteNetwork(ctx)
	if remote == "" {
		return 0
	}
	limiter, ok := a.failures.Get(remote)
	if !ok || limiter.Tokens() >= 1 {
		return 0
	}
	return failureRefill
}

func (a *Authenticator) limiter(ctx context.Context) *rate.Limiter {
	remote := remoteNetwork(ctx)
	if remote == "" {
		return nil
	}
	fresh := rate.NewLimiter(rate.Every(failureRefill), failureBurst)
	if existing, ok, _ := a.failures.PeekOrAdd(remote, fresh); ok {
		return existing
	}
	return fresh
}

// remoteNetwork is whom failed attempts are counted for: an IPv4 address, or the /64 that one IPv6 host usually has.
func remoteNetwork(ctx context.Context) string {
	remote, _ := ctx.Value(remoteKey{}).(string)
	ip, err := netip.ParseAddr(hostname(remote))
	if err != nil {
		return remote
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	network, err := ip.Prefix(64)
	if err != nil {
		return ip.String()
	}
	return network.String()
}

// credential is the key that a request carries, "" when it has none. Other schemes of authorization belong to proxies in
// front and are none of ours.
func credential(r *http.Request) string {
	if header := r.Header.Get("Authorization"); header != "" {
		if token := trimBearer(header); token != header {
			return token
		}
	}
	return strings.TrimSpace(r.Header.Get("X-API-Key"))
}

func trimBearer(s string) string {
	const scheme = "bearer "
	if len(s) >= len(scheme) && strings.EqualFold(s[:len(scheme)], scheme) {
		return strings.TrimSpace(s[len(scheme):])
	}
	return s
}
