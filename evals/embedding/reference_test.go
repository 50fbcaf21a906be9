package embedding

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// file is a reference file of the lines, with the given shape and rows.
func file(lines string, count, dimension uint32, rows ...int8) []byte {
	out := []byte(referenceMagic)
	out = binary.LittleEndian.AppendUint32(out, count)
	out = binary.LittleEndian.AppendUint32(out, dimension)
	sum := sha256.Sum256([]byte(lines))
	out = append(out, sum[:]...)
	for _, x := range rows {
		out = append(out, byte(x))
	}
	return out
}

const twoTexts = `{"kind":"a","text":"one"}
{"kind":"b","text":"two"}
`

func TestReferenceVectorsHaveUnitLength(t *testing.T) {
	texts, vectors, err := decodeReference([]byte(twoTexts), file(twoTexts, 2, 2, 3, -4, 0, 0))
	require.NoError(t, err)
	require.Equal(t, []text{{"a", "one"}, {"b", "two"}}, texts)
	require.Equal(t, [][]float32{{0.6, -0.8}, {0, 0}}, vectors)
}

func TestReferenceOfOtherTextsIsRefused(t *testing.T) {
	good := file(twoTexts, 2, 2, 3, -4, 5, 6)
	for name, c := range map[string]struct {
		lines   string
		vectors []byte
		says    string
	}{
		"a changed text":    {`{"kind":"a","text":"one!"}` + "\n" + `{"kind":"b","text":"two"}`, good, "run embed/builtin/distill/reference.py"},
		"too few rows":      {twoTexts, file(twoTexts, 2, 2, 3, -4), "2 bytes for 2 vectors of 2 values"},
		"rows of few texts": {twoTexts, file(twoTexts, 1, 2, 3, -4), "want one of 2 texts"},
		"no dimension":      {twoTexts, file(twoTexts, 2, 0), "2 vectors of 0 values"},
		"another file":      {twoTexts, []byte("PNG"), "no reference vectors"},
		"a cut header":      {twoTexts, good[:20], "no reference vectors"},
		"a broken line":     {`{"kind":"a"`, good, "text 1: unexpected EOF"},
		"an unknown field":  {`{"kind":"a","text":"x","label":1}`, good, `unknown field "label"`},
		"no text":           {`{"kind":"a","text":""}`, good, "kind or text is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := decodeReference([]byte(c.lines), c.vectors)
			require.ErrorContains(t, err, c.says)
		})
	}
}

func TestTheShippedTextsAreDistinctAndOfSeveralKinds(t *testing.T) {
	texts, _, err := decodeReference(textsFile, referenceFile)
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(texts), 300)
	byKind, seen := make(map[string]int), make(map[string]bool)
	for _, one := range texts {
		require.False(t, seen[one.Text], one.Text)
		seen[one.Text] = true
		byKind[one.Kind]++
	}
	for kind, n := range byKind {
		require.GreaterOrEqual(t, n, minTexts, kind)
	}
	require.LessOrEqual(t, len(textsFile)+len(referenceFile), 300<<10)
}

func FuzzDecodeReference(f *testing.F) {
	good := file(twoTexts, 2, 2, 3, -4, 5, 6)
	f.Add([]byte(twoTexts), good)
	f.Add([]byte(twoTexts), file(twoTexts, 1<<31, 1<<31))
	f.Add([]byte("{"), bytes.Repeat(good, 2))
	f.Add([]byte(nil), slices.Concat(file("", 0, 1)))
	f.Fuzz(func(t *testing.T, lines, vectors []byte) {
		texts, rows, err := decodeReference(lines, vectors)
		if err != nil {
			return
		}
		require.Len(t, rows, len(texts))
		for _, row := range rows {
			length := dot(row, row)
			require.True(t, length == 0 || (length > 0.999 && length < 1.001), length)
		}
	})
}
