package hook

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Whatever a source writes: markers that can be stored, a reason why there are none, or an error that says what is wrong.
func FuzzRead(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	require.NoError(f, err)
	require.NotEmpty(f, files)
	for _, file := range files {
		body, err := os.ReadFile(file)
		require.NoError(f, err)
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		source, event, _ := strings.Cut(name, "-")
		f.Add(source, event, body)
	}
	f.Add(GitHub, "release", []byte("payload=%7B%7D"))
	r := newReceiver(f)
	f.Fuzz(func(t *testing.T, source, event string, body []byte) {
		if source == "databricks" {
			source, event = MLflow, "databricks"
		}
		out, err := r.Read(source, sign(source, event, body), body, noon)
		if err != nil {
			var field *FieldError
			code := engine.ErrorCode(err)
			require.True(t, errors.As(err, &field) || code == engine.CodeInvalid || code == engine.CodeNotFound || code == engine.CodeUnauthorized, "%v", err)
			return
		}
		require.True(t, out.Ping || out.Ignored != "" || len(out.Markers) > 0)
		for _, m := range out.Markers {
			require.NotEmpty(t, m.ID)
			require.NotEmpty(t, m.Version)
			require.NotEmpty(t, m.Kind)
			require.True(t, source == MLflow || m.Service != "")
			require.False(t, m.At.IsZero() || m.At.After(noon.Add(clockSlack)))
			for _, text := range []string{m.Service, m.Subject, m.Version, m.Previous, m.Description} {
				require.True(t, utf8.ValidString(text))
				require.LessOrEqual(t, len(text), maxDescription)
				require.NotContains(t, text, "\x00")
			}
		}
	})
}
