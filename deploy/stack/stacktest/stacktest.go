// Package stacktest hands tests the real parts that deploy/stack starts. Values flow in from the environment that
// deploy/stack/env prints. A part that tests share is never started or stopped from here; Own starts one for a single test.
package stacktest

import (
	"os"
	"testing"
)

// Require returns the value of a variable that deploy/stack/env exports, such as SENTINEL_OLLAMA_URL. On a machine
// without that part the test is skipped with the reason, and fails where SENTINEL_REQUIRE_STACK is 1.
func Require(t testing.TB, variable string) string {
	t.Helper()
	if value := os.Getenv(variable); value != "" {
		return value
	}
	reason := os.Getenv(variable + "_MISSING")
	if reason == "" {
		reason = variable + ` is not set: eval "$(deploy/stack/env)"`
	}
	if os.Getenv("SENTINEL_REQUIRE_STACK") == "1" {
		t.Fatal(reason)
	}
	t.Skip(reason)
	return ""
}
