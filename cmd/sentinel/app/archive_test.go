package app

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
)

// archived is an archive with one entry.
func archived(t *testing.T, header tar.Header, content string) []byte {
	t.Helper()
	var out bytes.Buffer
	z, err := zstd.NewWriter(&out)
	require.NoError(t, err)
	archive := tar.NewWriter(z)
	header.Mode = 0o600
	require.NoError(t, archive.WriteHeader(&header))
	_, err = archive.Write([]byte(content))
	require.NoError(t, err)
	require.NoError(t, archive.Flush())
	require.NoError(t, z.Close())
	return out.Bytes()
}

func TestArchiveComesBack(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	for _, name := range []string{"a", "b"} {
		require.NoError(t, os.WriteFile(filepath.Join(from, name), []byte("content of "+name), 0o600))
	}
	data, err := pack(filepath.Join(from, "a"), filepath.Join(from, "b"))
	require.NoError(t, err)
	require.NoError(t, unpack(data, to, "a", "b"))
	got, err := os.ReadFile(filepath.Join(to, "b"))
	require.NoError(t, err)
	require.Equal(t, "content of b", string(got))
	for n := range data {
		require.Error(t, unpack(data[:n], t.TempDir(), "a", "b"), n)
	}
}

// A model may come from anybody: what its archive holds stays in the folder and is what a pipeline reads.
func TestArchiveWritesOnlyTheFilesThatBelongThere(t *testing.T) {
	above := t.TempDir()
	dir := filepath.Join(above, "in")
	require.NoError(t, os.Mkdir(dir, 0o700))
	for name, header := range map[string]tar.Header{
		"above": {Name: "../a", Typeflag: tar.TypeReg}, "absolute": {Name: "/tmp/a", Typeflag: tar.TypeReg}, "dots": {Name: "..", Typeflag: tar.TypeReg},
		"below": {Name: "x/a", Typeflag: tar.TypeReg}, "another": {Name: "a-wal", Typeflag: tar.TypeReg}, "no name": {Typeflag: tar.TypeReg},
		"a link": {Name: "a", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}, "a folder": {Name: "a", Typeflag: tar.TypeDir},
	} {
		content := ""
		if header.Typeflag == tar.TypeReg {
			content, header.Size = "x", 1
		}
		require.ErrorContains(t, unpack(archived(t, header, content), dir, "a"), "does not belong there", name)
	}
	large := archived(t, tar.Header{Name: "a", Typeflag: tar.TypeReg, Size: 1}, "x")
	require.NoError(t, unpack(large, dir, "a"))
	for _, folder := range []string{above, dir} {
		entries, err := os.ReadDir(folder)
		require.NoError(t, err)
		require.Len(t, entries, 1)
	}
	require.Error(t, unpack([]byte("no archive"), dir, "a"))
}
