package app

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
)

// maxArchived bounds a file that unpack writes, in bytes.
const maxArchived = 4 << 30

// pack makes a compressed archive of files, under their base names.
func pack(files ...string) ([]byte, error) {
	var out bytes.Buffer
	z, err := zstd.NewWriter(&out)
	if err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	archive := tar.NewWriter(z)
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("archive: %w", err)
		}
		err = archive.WriteHeader(&tar.Header{Name: filepath.Base(file), Mode: 0o600, Size: int64(len(data))})
		if err == nil {
			_, err = archive.Write(data)
		}
		if err != nil {
			return nil, fmt.Errorf("archive: %s: %w", file, err)
		}
	}
	if err := errors.Join(archive.Close(), z.Close()); err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	return out.Bytes(), nil
}

// unpack writes the files of an archive into a folder, wherever the archive says they were.
func unpack(data []byte, dir string) error {
	z, err := zstd.NewReader(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	defer z.Close()
	archive := tar.NewReader(io.LimitReader(z, maxArchived))
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("archive: %w", err)
		}
		content, err := io.ReadAll(archive)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.Base(header.Name)), content, 0o600)
		}
		if err != nil {
			return fmt.Errorf("archive: %s: %w", header.Name, err)
		}
	}
}
