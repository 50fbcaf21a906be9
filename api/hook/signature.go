package hook

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// maxAge is how old a delivery with a signed time may be, and how far ahead; MLflow's documentation checks for as much.
const maxAge = 5 * time.Minute

// verifyGitHub checks the HMAC-SHA256 of the body in X-Hub-Signature-256, "sha256=" and hex.
func verifyGitHub(secret engine.Secret, header http.Header, body []byte, _ time.Time) error {
	return verifyHex(secret, "X-Hub-Signature-256", strings.TrimPrefix(header.Get("X-Hub-Signature-256"), "sha256="), body)
}

// verifyGitLab compares the token, which GitLab sends as it is.
func verifyGitLab(secret engine.Secret, header http.Header, _ []byte, _ time.Time) error {
	return verifyToken(secret, "X-Gitlab-Token", header.Get("X-Gitlab-Token"))
}

// verifyArgoCD compares a bearer token: Argo CD sends fixed headers and signs nothing.
func verifyArgoCD(secret engine.Secret, header http.Header, _ []byte, _ time.Time) error {
	const scheme = "Bearer "
	token := header.Get("Authorization")
	if len(token) >= len(scheme) && strings.EqualFold(token[:len(scheme)], scheme) {
		token = strings.TrimSpace(token[len(scheme):])
	} else {
		token = ""
	}
	return verifyToken(secret, "Authorization", token)
}

// verifyMLflow checks "v1," and the base64 of the HMAC-SHA256 of delivery id, Unix time and body, joined by dots; or for the
// workspace registry of Databricks the hex of the HMAC-SHA256 of the body.
func verifyMLflow(secret engine.Secret, header http.Header, body []byte, now time.Time) error {
	if signature := header.Get("X-Databricks-Signature"); signature != "" {
		return verifyHex(secret, "X-Databricks-Signature", signature, body)
	}
	const name = "X-MLflow-Signature"
	signature := header.Get(name)
	if signature == "" {
		return missing(name)
	}
	id, stamp := header.Get("X-MLflow-Delivery-Id"), header.Get("X-MLflow-Timestamp")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || id == "" {
		return engine.Errorf(engine.CodeUnauthorized, "X-MLflow-Delivery-Id and X-MLflow-Timestamp are needed: they are signed with the body")
	}
	given, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(signature, "v1,"))
	if err != nil || !hmac.Equal(given, mac(secret, []byte(id+"."+stamp+"."), body)) {
		return wrong(name)
	}
	// The age is told only to who knows the secret.
	if age := now.Sub(time.Unix(seconds, 0)); age > maxAge || age < -maxAge {
		return engine.Errorf(engine.CodeUnauthorized, "X-MLflow-Timestamp is %s off our clock; at most %s are taken", age.Abs().Round(time.Second), maxAge)
	}
	return nil
}

func verifyHex(secret engine.Secret, name, signature string, body []byte) error {
	if signature == "" {
		return missing(name)
	}
	given, err := hex.DecodeString(signature)
	if err != nil || !hmac.Equal(given, mac(secret, body)) {
		return wrong(name)
	}
	return nil
}

func verifyToken(secret engine.Secret, name, token string) error {
	if token == "" {
		return missing(name)
	}
	// Sums have one length, so that the time tells nothing of the secret's.
	given, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(secret.Reveal()))
	if subtle.ConstantTimeCompare(given[:], want[:]) != 1 {
		return wrong(name)
	}
	return nil
}

func mac(secret engine.Secret, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, []byte(secret.Reveal()))
	for _, part := range parts {
		h.Write(part)
	}
	return h.Sum(nil)
}

func missing(header string) error {
	return engine.Errorf(engine.CodeUnauthorized, "%s is missing: give the sender the secret that is configured here", header)
}

func wrong(header string) error {
	return engine.Errorf(engine.CodeUnauthorized, "%s does not fit the secret that is configured here", header)
}
