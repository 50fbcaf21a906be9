package evals_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/evals"
)

type word struct {
	ID   string `json:"id"`
	Word string `json:"word"`
}

func (w word) check() error {
	if w.Word == "" {
		return errors.New("word: is empty")
	}
	return nil
}

func zipped(t *testing.T, text string) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, err := z.Write([]byte(text))
	require.NoError(t, errors.Join(err, z.Close()))
	return out.Bytes()
}

// read reads words of a file and what was skipped of it.
func read(t *testing.T, data []byte) (words []word, skipped []string, err error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "words.jsonl")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	env := evals.Env{Log: slog.New(slog.DiscardHandler), Skip: func(_ string, line int, reason error) error {
		skipped = append(skipped, fmt.Sprintf("%d: %v", line, reason))
		return nil
	}}
	words, err = evals.ReadJSONL(env, path, evals.Distinct(func(w word) string { return w.ID }, word.check))
	return words, skipped, err
}

func TestLinesAreReadWhateverWroteThem(t *testing.T) {
	const lines = "{\"id\":\"a\",\"word\":\"x\"}\n\n{\"id\":\"b\",\"word\":\"y\"}"
	want := []word{{"a", "x"}, {"b", "y"}}
	for name, data := range map[string][]byte{
		"plain": []byte(lines), "with an end of line": []byte(lines + "\n"), "of Windows": []byte("\ufeff" + strings.ReplaceAll(lines, "\n", "\r\n")),
		"gzip": zipped(t, lines), "gzip with a byte order mark": zipped(t, "\ufeff"+lines),
	} {
		got, skipped, err := read(t, data)
		require.NoError(t, err, name)
		require.Equal(t, want, got, name)
		require.Empty(t, skipped, name)
	}
}

func TestWhatIsMalformedIsSkippedWithItsLine(t *testing.T) {
	long := `{"id":"l","word":"` + strings.Repeat("x", 17<<20) + `"}`
	lines := []string{
		`{"id":"a","word":"x"}`, `NaN`, long, `{"id":"b","word":""}`, `{"id":"a","word":"again"}`, `{"id":1}`, "\x00", `[]`, `{"id":"b","word":"y"}`, long,
	}
	got, skipped, err := read(t, []byte(strings.Join(lines, "\n")))
	require.NoError(t, err)
	require.Equal(t, []word{{"a", "x"}, {"b", "y"}}, got, "an id that was refused with its line is free")
	var numbers []string
	for _, s := range skipped {
		number, _, _ := strings.Cut(s, ":")
		numbers = append(numbers, number)
	}
	require.Equal(t, []string{"2", "3", "4", "5", "6", "7", "8", "10"}, numbers)
	require.Equal(t, "3: the line is longer than 16 MiB", skipped[1])
	require.Equal(t, `5: id: "a" is that of an earlier line too`, skipped[3])
}

func TestFilesThatCannotBeRead(t *testing.T) {
	for name, data := range map[string][]byte{"empty": nil, "blank": []byte("\n \n"), "empty gzip": zipped(t, ""), "without a good line": []byte("{\n{")} {
		_, _, err := read(t, data)
		require.ErrorIs(t, err, evals.ErrUnavailable, name)
		require.ErrorContains(t, err, "no line that can be used", name)
	}
	whole := zipped(t, strings.Repeat("{\"id\":\"a\",\"word\":\"x\"}\n", 5000))
	_, _, err := read(t, whole[:len(whole)-12])
	require.ErrorContains(t, err, "unexpected EOF")
	require.NotErrorIs(t, err, evals.ErrUnavailable, "half a file is no small file")

	_, err = evals.Open(t.TempDir())
	require.ErrorContains(t, err, "is no file")
	_, err = evals.Open(os.DevNull)
	require.ErrorContains(t, err, "is no file")
	_, err = evals.Open(filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, evals.ErrUnavailable)
}

func FuzzEachLine(f *testing.F) {
	f.Add([]byte("a\r\n\n b\x00\n"))
	f.Add([]byte{0x1f, 0x8b, 8, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "f")
		require.NoError(t, os.WriteFile(path, data, 0o600))
		last := 0
		_ = evals.EachLine(evals.Env{}, path, func(number int, line []byte) error { // what looks like gzip may be none
			require.Greater(t, number, last)
			require.NotEmpty(t, bytes.TrimSpace(line))
			require.NotContains(t, string(line), "\n")
			last = number
			return nil
		})
	})
}
