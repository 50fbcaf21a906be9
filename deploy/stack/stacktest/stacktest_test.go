package stacktest_test

import (
	"net"
	"net/url"
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/deploy/stack/stacktest"
)

// A test with a server of its own may stop it; what was committed is there when it is back.
func TestOwn(t *testing.T) {
	s := stacktest.Own(t, "postgres")
	address, err := url.Parse(s.Value(t, "SENTINEL_TEST_POSTGRES"))
	require.NoError(t, err)
	require.NotEqual(t, os.Getenv("SENTINEL_TEST_POSTGRES"), address.String())
	answers := func() bool {
		conn, err := net.Dial("tcp", address.Host)
		if err == nil {
			require.NoError(t, conn.Close())
		}
		return err == nil
	}
	require.True(t, answers())
	s.Stop(t)
	require.False(t, answers())
	s.Start(t)
	require.True(t, answers())
}

// recorder stands in for a test, and keeps how it was ended.
type recorder struct {
	testing.TB
	skipped, failed string
}

func (r *recorder) Helper() {}

func (r *recorder) Skip(args ...any) {
	r.skipped = args[0].(string)
	runtime.Goexit()
}

func (r *recorder) Fatal(args ...any) {
	r.failed = args[0].(string)
	runtime.Goexit()
}

func TestRequire(t *testing.T) {
	const reason = "ollama: missing: gcc is not installed"
	for name, test := range map[string]struct {
		value, reason, required string
		want, skipped, failed   string
	}{
		"there":                   {value: "http://127.0.0.1:1", required: "1", want: "http://127.0.0.1:1"},
		"missing":                 {reason: reason, skipped: reason},
		"missing though required": {reason: reason, required: "1", failed: reason},
		"stack never started":     {skipped: `SENTINEL_PART is not set: eval "$(deploy/stack/env)"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("SENTINEL_PART", test.value)
			t.Setenv("SENTINEL_PART_MISSING", test.reason)
			t.Setenv("SENTINEL_REQUIRE_STACK", test.required)
			r := &recorder{TB: t}
			var got string
			done := make(chan struct{})
			go func() {
				defer close(done)
				got = stacktest.Require(r, "SENTINEL_PART")
			}()
			<-done
			require.Equal(t, test.want, got)
			require.Equal(t, test.skipped, r.skipped)
			require.Equal(t, test.failed, r.failed)
		})
	}
}
