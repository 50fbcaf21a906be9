package embed

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestRefusalsSayWhatTheServerSaid(t *testing.T) {
	for body, says := range map[string]string{
		`{"error":"no such model"}`:                         "no such model",
		`{"error":{"message":"too long","type":"invalid"}}`: "too long",
		`{"detail":"slow down"}`:                            "slow down",
		`{"error":{"type":"invalid"}}`:                      `{"error":{"type":"invalid"}}`,
		"<html>gateway</html>\n":                            "<html>gateway</html>",
		"":                                                  "",
		`{"error":"the key s3cret is wrong"}`:               "is wrong",
		`{"error":"` + strings.Repeat("é", 1000) + `"}`:     "éé",
	} {
		host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusTeapot)
			_, _ = io.WriteString(w, body)
		}))
		transport := NewTransport("s3cret")
		answer, err := (&http.Client{Transport: transport}).Get(host.URL)
		if err == nil {
			require.NoError(t, answer.Body.Close())
		}
		var refused *StatusError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, http.StatusTeapot, refused.Status)
		require.Contains(t, refused.Error(), says)
		require.NotContains(t, refused.Error(), "s3cret")
		require.LessOrEqual(t, len(refused.Message), maxMessage)
		require.True(t, utf8.ValidString(refused.Message))
		transport.Close()
		host.Close()
	}
}

func FuzzSaying(f *testing.F) {
	f.Add([]byte(`{"error":{"message":"too long"}}`))
	f.Add([]byte(`{"detail":7}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(saying(body)) > 3*len(body) { // a replaced byte takes three
			t.Errorf("%q became %q", body, saying(body))
		}
	})
}
