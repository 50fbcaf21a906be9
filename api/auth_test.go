package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

func TestNewKey(t *testing.T) {
	plain, key, err := NewKey("ci", engine.ScopeIngest)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(plain, "sk-sentinel-"+key.ID+"-"))
	require.Len(t, key.Hash, 32)
	require.NotContains(t, plain, string(key.Hash))
	id, hash, ok := parseKey(plain)
	require.True(t, ok)
	require.Equal(t, key.ID, id)
	require.Equal(t, key.Hash, hash[:])

	other, _, err := NewKey("ci", engine.ScopeIngest)
	require.NoError(t, err)
	require.NotEqual(t, plain, other)

	for _, tt := range []struct{ name, scope string }{{"", engine.ScopeRead}, {strings.Repeat("x", 65), engine.ScopeRead}, {"ci", "root"}, {"ci", ""}} {
		_, _, err := NewKey(tt.name, tt.scope)
		require.Equal(t, engine.CodeInvalid, engine.ErrorCode(err))
	}
}

func TestParseKeyRefusesOtherSpellings(t *testing.T) {
	plain, _, err := NewKey("ci", engine.ScopeRead)
	require.NoError(t, err)
	// The last digit of 32 bytes in base64 has two bits to spare; only one spelling may count.
	last := plain[len(plain)-1]
	for _, digit := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" {
		if byte(digit) == last {
			continue
		}
		_, hash, ok := parseKey(plain[:len(plain)-1] + string(digit))
		_, original, _ := parseKey(plain)
		require.False(t, ok && hash == original)
	}
	for _, text := range []string{"", "sk-sentinel-", "sk-sentinel-1-2", "sk-other" + plain, plain + "A", plain + "\n", strings.ToUpper(plain)} {
		_, _, ok := parseKey(text)
		require.False(t, ok, text)
	}
}

// Who may do what, on each kind of listener.
func TestAccess(t *testing.T) {
	routes := map[string]struct{ method, target, body string }{
		engine.ScopeIngest: {"POST", "/api/v1/detect", `{"metrics":{"latency_ms":1}}`},
		engine.ScopeRead:   {"GET", "/api/v1/services", ""},
		engine.ScopeAdmin:  {"POST", "/api/v1/incidents/i-1/acknowledge", ""},
	}
	listeners := []struct {
		name      string
		configure func(*Config, *Deps)
		anonymous bool
	}{
		{"loopback", func(*Config, *Deps) {}, true},
		{"loopback with keys", func(c *Config, _ *Deps) { c.RequireKeys = true }, false},
		{"public", public, false},
		{"public and anonymous", func(c *Config, d *Deps) { public(c, d); c.AllowAnonymous = true }, true},
	}
	for _, listener := range listeners {
		t.Run(listener.name, func(t *testing.T) {
			b := newBackend()
			s := newServer(t, b, listener.configure)
			keys := map[string]string{}
			for _, scope := range []string{engine.ScopeIngest, engine.ScopeRead, engine.ScopeAdmin} {
				keys[scope] = b.addKey(t, scope+" key", scope)
			}
			unknown, _, err := NewKey("unknown", engine.ScopeAdmin)
			require.NoError(t, err)

			for need, route := range routes {
				call := func(headers ...string) int {
					return send(s, route.method, route.target, route.body, headers...).Code
				}
				if listener.anonymous {
					require.Equal(t, http.StatusOK, call())
				} else {
					require.Equal(t, http.StatusUnauthorized, call())
					require.Equal(t, http.StatusUnauthorized, call("Authorization", "Basic YTpi"))
				}
				require.Equal(t, http.StatusUnauthorized, call("Authorization", "Bearer "+unknown), "a wrong key is refused everywhere")
				require.Equal(t, http.StatusUnauthorized, call("X-API-Key", "nonsense"))
				for have, key := range keys {
					want := http.StatusForbidden
					if have == need || have == engine.ScopeAdmin {
						want = http.StatusOK
					}
					require.Equal(t, want, call("Authorization", "Bearer "+key), "%s key for %s", have, need)
					require.Equal(t, want, call("X-API-Key", key), "%s key for %s", have, need)
				}
			}
		})
	}
}

func TestEveryRouteAsksForAKeyOrIsKnownToBeOpen(t *testing.T) {
	s := newServer(t, newBackend(), public)
	open := []string{"/", "/ui/app.js", "/ui/style.css", "/openapi.json", "/api/v1/openapi.json", "/api/v1/health"}
	for _, route := range s.router.Routes() {
		w := send(s, route.Method, strings.ReplaceAll(route.Path, ":id", "i-1"), "{}") // webhooks ask for a signature instead of a key
		if w.Code != http.StatusUnauthorized {
			require.Contains(t, open, route.Path)
			continue
		}
		requireProblem(t, w, http.StatusUnauthorized, "unauthorized")
		require.Equal(t, `Bearer realm="llm-sentinel"`, w.Header().Get("WWW-Authenticate"))
		require.NotContains(t, open, route.Path)
	}
}

func TestHealthKeepsItsDetailsFromStrangers(t *testing.T) {
	b := newBackend()
	key, ingest := b.addKey(t, "ops", engine.ScopeRead), b.addKey(t, "app", engine.ScopeIngest)
	s := newServer(t, b, public)

	for _, headers := range [][]string{nil, {"X-API-Key", "wrong"}, {"X-API-Key", ingest}} {
		stranger := decode[map[string]any](t, send(s, "GET", "/api/v1/health", "", headers...), http.StatusOK)
		require.Equal(t, map[string]any{"status": "degraded", "uptime": 60.0, "version": "1.2.3"}, stranger)
	}

	friend := decode[map[string]any](t, send(s, "GET", "/api/v1/health", "", "X-API-Key", key), http.StatusOK)
	require.Len(t, friend["degraded"], 1)
	require.Equal(t, map[string]any{"sampled": 2.0}, friend["shed"])
	require.Equal(t, 3.0, friend["learning_series"])
}

func newAuthenticator(t *testing.T, b *backend, required bool) *Authenticator {
	t.Helper()
	a, err := NewAuthenticator(b, required, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	return a
}

func TestAuthorize(t *testing.T) {
	b := newBackend()
	a := newAuthenticator(t, b, true)
	key := b.addKey(t, "app", engine.ScopeIngest)
	require.NoError(t, a.Authorize(t.Context(), key, engine.ScopeIngest))
	require.NoError(t, a.Authorize(t.Context(), "bearer "+key, engine.ScopeIngest))
	require.Equal(t, engine.CodeUnauthorized, engine.ErrorCode(a.Authorize(t.Context(), "", engine.ScopeIngest)))
	require.Equal(t, engine.CodeUnauthorized, engine.ErrorCode(a.Authorize(t.Context(), key, engine.ScopeRead)))
	require.NoError(t, newAuthenticator(t, b, false).Authorize(t.Context(), "", engine.ScopeAdmin))
}

func TestKeyIdentityMustMatchItsSecret(t *testing.T) {
	b := newBackend()
	one, two := b.addKey(t, "one", engine.ScopeRead), b.addKey(t, "two", engine.ScopeAdmin)
	const idEnd = len(keyPrefix) + 2*keyIDBytes
	mixed := two[:idEnd] + one[idEnd:]
	err := newAuthenticator(t, b, true).Authorize(t.Context(), mixed, engine.ScopeRead)
	require.Equal(t, engine.CodeUnauthorized, engine.ErrorCode(err))
}

func TestVerifiedKeysAreRememberedBrieflyAndRevocationIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend()
		a := newAuthenticator(t, b, true)
		key := b.addKey(t, "app", engine.ScopeIngest)
		for range 100 {
			require.NoError(t, a.Authorize(t.Context(), key, engine.ScopeIngest))
		}
		require.Equal(t, 1, b.lookups)
		require.Len(t, b.touched, 1, "last use is stored once a minute, not on each request")

		b.revokeAll()
		time.Sleep(verifiedFor)
		require.Equal(t, engine.CodeUnauthorized, engine.ErrorCode(a.Authorize(t.Context(), key, engine.ScopeIngest)))
	})
}

func TestLastUseIsStoredOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend()
		a := newAuthenticator(t, b, true)
		key := b.addKey(t, "app", engine.ScopeIngest)
		for range 121 {
			require.NoError(t, a.Authorize(t.Context(), key, engine.ScopeIngest))
			time.Sleep(time.Second)
		}
		require.Len(t, b.touched, 3)
	})
}

func TestWrongKeysAreLimitedForEachAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend()
		a := newAuthenticator(t, b, true)
		good, fresh := b.addKey(t, "good", engine.ScopeRead), b.addKey(t, "fresh", engine.ScopeRead)
		attacker := WithRemote(t.Context(), "203.0.113.9:4711")
		require.NoError(t, a.Authorize(attacker, good, engine.ScopeRead))

		codes := map[engine.Code]int{}
		for range 50 {
			wrong, _, err := NewKey("guess", engine.ScopeAdmin)
			require.NoError(t, err)
			codes[engine.ErrorCode(a.Authorize(attacker, wrong, engine.ScopeRead))]++
		}
		require.Equal(t, map[engine.Code]int{engine.CodeUnauthorized: failureBurst, engine.CodeFull: 50 - failureBurst}, codes)
		require.Equal(t, 1+failureBurst, b.lookups, "over the limit nothing is looked up")

		require.NoError(t, a.Authorize(attacker, good, engine.ScopeRead), "a remembered key is not shut out by its neighbour")
		var full *engine.Error
		require.ErrorAs(t, a.Authorize(attacker, fresh, engine.ScopeRead), &full)
		require.Equal(t, failureRefill, full.RetryAfter)
		require.NoError(t, a.Authorize(WithRemote(t.Context(), "203.0.113.10:1"), fresh, engine.ScopeRead), "other addresses are not concerned")

		time.Sleep(failureRefill)
		require.NoError(t, a.Authorize(attacker, fresh, engine.ScopeRead))
	})
}

func TestLimitsHoldForAWholeIPv6NetworkInBoundedMemory(t *testing.T) {
	a := newAuthenticator(t, newBackend(), true)
	for i := range 2 * maxRemotes {
		ctx := WithRemote(context.Background(), fmt.Sprintf("[2001:db8:0:%x::1]:1", i))
		require.Error(t, a.Authorize(ctx, "wrong", engine.ScopeRead))
	}
	require.Equal(t, maxRemotes, a.failures.Len())
	for i := range failureBurst {
		ctx := WithRemote(context.Background(), fmt.Sprintf("[2001:db8:f::%x]:1", i))
		require.Equal(t, engine.CodeUnauthorized, engine.ErrorCode(a.Authorize(ctx, "wrong", engine.ScopeRead)))
	}
	ctx := WithRemote(context.Background(), "[2001:db8:f::ffff]:1")
	require.Equal(t, engine.CodeFull, engine.ErrorCode(a.Authorize(ctx, "wrong", engine.ScopeRead)))
}

func TestABrokenKeyStoreRefuses(t *testing.T) {
	b := newBackend()
	key := b.addKey(t, "ops", engine.ScopeRead)
	s := newServer(t, b, public)
	b.keyErr = errBroken
	requireProblem(t, send(s, "GET", "/api/v1/services", "", "X-API-Key", key), http.StatusInternalServerError, "internal")
	b.keyErr = &engine.Error{Code: engine.CodeUnavailable, Message: "the store is locked", RetryAfter: 2500 * time.Millisecond, Err: errors.New("busy")}
	w := send(s, "GET", "/api/v1/services", "", "X-API-Key", key)
	requireProblem(t, w, http.StatusServiceUnavailable, "unavailable")
	require.Equal(t, "3", w.Header().Get("Retry-After"))
}
