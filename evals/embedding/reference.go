package embedding

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

var (
	//go:embed texts.jsonl
	textsFile []byte
	//go:embed reference.bin
	referenceFile []byte
)

// text is one text to compare.
type text struct {
	Kind string `json:"kind"`
	Text string `json:"text"`
}

// referenceMagic begins the file of reference vectors. Little-endian uint32 follow: the number of rows and their dimension; then the
// SHA-256 of the file of texts, and a row of signed bytes a text, of which only the direction means something.
const referenceMagic = "SENTREF1"

// decodeReference reads texts and the unit vectors that the reference model gives them, in order. It refuses vectors of other texts.
func decodeReference(lines, vectors []byte) ([]text, [][]float32, error) {
	texts, err := decodeTexts(lines)
	if err != nil {
		return nil, nil, err
	}
	rest, ok := bytes.CutPrefix(vectors, []byte(referenceMagic))
	if !ok || len(rest) < 8+sha256.Size {
		return nil, nil, errors.New("embedding: reference.bin: no reference vectors")
	}
	count, dimension := uint64(binary.LittleEndian.Uint32(rest)), uint64(binary.LittleEndian.Uint32(rest[4:]))
	sum, rows := rest[8:8+sha256.Size], rest[8+sha256.Size:]
	if sha256.Sum256(lines) != [sha256.Size]byte(sum) {
		return nil, nil, errors.New("embedding: texts.jsonl has changed since reference.bin was made: run embed/builtin/distill/reference.py")
	}
	if count != uint64(len(texts)) || dimension == 0 || uint64(len(rows)) != count*dimension {
		return nil, nil, fmt.Errorf("embedding: reference.bin: %d bytes for %d vectors of %d values, want one of %d texts", len(rows), count, dimension, len(texts))
	}
	out := make([][]float32, count)
	for i := range out {
		out[i] = make([]float32, dimension)
		for k, b := range rows[uint64(i)*dimension : uint64(i+1)*dimension] {
			out[i][k] = float32(int8(b))
		}
		normalise(out[i])
	}
	return texts, out, nil
}

func decodeTexts(lines []byte) ([]text, error) {
	decoder := json.NewDecoder(bytes.NewReader(lines))
	decoder.DisallowUnknownFields()
	var out []text
	for {
		var t text
		err := decoder.Decode(&t)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err == nil && (t.Kind == "" || t.Text == "") {
			err = errors.New("kind or text is empty")
		}
		if err != nil {
			return nil, fmt.Errorf("embedding: texts.jsonl: text %d: %w", len(out)+1, err)
		}
		out = append(out, t)
	}
}
