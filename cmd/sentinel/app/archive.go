package app

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/klauspost/compress/zstd"
)

// maxArchived bounds what unpack writes, in bytes.
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

// unpack writes the files of an archive into a folder: those named, all of them and no others.
func unpack(data []byte, dir string, names ...string) error {
	z, err := zstd.NewReader(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	defer z.Close()
	left := int64(maxArchived)
	missing := slices.Clone(names)
	archive := tar.NewReader(z)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			if len(missing) > 0 {
				return fmt.Errorf("archive: there is no %s", missing[0])
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("archive: %w", err)
		}
		at := slices.Index(missing, header.Name)
		if at < 0 || header.Typeflag != tar.TypeReg {
			return fmt.Errorf("archive: %q does not belong there", header.Name)
		}
		missing = slices.Delete(missing, at, at+1)
		if left -= header.Size; left < 0 {
			return fmt.Errorf("archive: longer than %d GiB", int64(maxArchived>>30))
		}
		if err := extract(archive, filepath.Join(dir, header.Name)); err != nil {
			return fmt.Errorf("archive: %s: %w", header.Name, err)
		}
	}
}

func extract(from io.Reader, path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	return errors.Join(err, f.Close())
}
