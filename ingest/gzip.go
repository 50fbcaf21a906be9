package ingest

import (
	"bytes"
	"errors"
	"io"

	"github.com/klauspost/compress/gzip"
)

// ErrTooLarge says that what is compressed is larger than allowed.
var ErrTooLarge = errors.New("larger than allowed")

// Gunzip undoes gzip. It stops with ErrTooLarge as soon as the limit, in bytes, is passed, so that a small body cannot make the process
// hold a large one; any other error means that the body is malformed.
func Gunzip(body []byte, limit int) ([]byte, error) {
	zr, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	out.Grow(min(4*len(body), limit))
	n, err := io.Copy(&out, io.LimitReader(zr, int64(limit)+1))
	switch {
	case n > int64(limit):
		return nil, ErrTooLarge
	case err != nil:
		return nil, err
	}
	return out.Bytes(), nil
}
