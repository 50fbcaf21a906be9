package storetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

func shelvedSeries(n int, generation int64, state string) engine.ShelvedSeries {
	row := engine.ShelvedSeries{Generation: generation, State: []byte(state)}
	binary.BigEndian.PutUint32(row.ID[:], uint32(n))
	return row
}

func newest(t *testing.T, s Store, n int) (out []engine.ShelvedSeries) {
	t.Helper()
	require.NoError(t, s.NewestSeries(t.Context(), n, func(row engine.ShelvedSeries) error {
		out = append(out, row)
		return nil
	}))
	return out
}

// seriesComeBack is what spilling needs: what was put on the shelf is returned as it was, and stays.
func seriesComeBack(t *testing.T, s Store) {
	require.Empty(t, newest(t, s, 10))
	require.NoError(t, s.ShelveSeries(t.Context(), nil))
	bytesOfAllKinds := shelvedSeries(1, 1, "\x00\xff it's")
	large := shelvedSeries(2, 1, string(bytes.Repeat([]byte("state"), 20_000)))
	empty := shelvedSeries(3, 1, "")
	require.NoError(t, s.ShelveSeries(t.Context(), []engine.ShelvedSeries{bytesOfAllKinds, large, empty}))
	for range 2 {
		got, err := s.ShelvedSeries(t.Context(), []engine.ShelfID{large.ID, shelvedSeries(9, 0, "").ID, bytesOfAllKinds.ID, empty.ID})
		require.NoError(t, err)
		require.ElementsMatch(t, []engine.ShelvedSeries{bytesOfAllKinds, large, empty}, got)
	}
	got, err := s.ShelvedSeries(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, got)

	newer, older := shelvedSeries(1, 3, "newer"), shelvedSeries(1, 2, "older")
	require.NoError(t, s.ShelveSeries(t.Context(), []engine.ShelvedSeries{newer}))
	require.NoError(t, s.ShelveSeries(t.Context(), []engine.ShelvedSeries{older}), "what comes too late is left out")
	got, err = s.ShelvedSeries(t.Context(), []engine.ShelfID{newer.ID})
	require.NoError(t, err)
	require.Equal(t, []engine.ShelvedSeries{newer}, got)
	again := shelvedSeries(1, 3, "again")
	require.NoError(t, s.ShelveSeries(t.Context(), []engine.ShelvedSeries{again}), "a snapshot that is repeated")
	require.Equal(t, again, newest(t, s, 1)[0])

	var many []engine.ShelvedSeries
	var ids []engine.ShelfID
	for n := range 1_200 {
		many = append(many, shelvedSeries(n, 4, "x"))
		ids = append(ids, many[n].ID)
	}
	require.NoError(t, s.ShelveSeries(t.Context(), many))
	got, err = s.ShelvedSeries(t.Context(), ids)
	require.NoError(t, err)
	require.ElementsMatch(t, many, got)

	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, s.ShelveSeries(cancelled, []engine.ShelvedSeries{shelvedSeries(1, 5, "lost")}))
}

// shelfIsBounded: the oldest generation goes first.
func shelfIsBounded(t *testing.T, s Store) {
	for n := range 10 {
		require.NoError(t, s.ShelveSeries(t.Context(), []engine.ShelvedSeries{shelvedSeries(n, int64(100-n), "x")}))
	}
	generations := func(rows []engine.ShelvedSeries) (out []int64) {
		for _, row := range rows {
			out = append(out, row.Generation)
		}
		return out
	}
	require.Equal(t, []int64{98, 99, 100}, generations(newest(t, s, 3)), "the newest, in ascending order")
	stop := errors.New("enough")
	calls := 0
	err := s.NewestSeries(t.Context(), 3, func(engine.ShelvedSeries) error { calls++; return stop })
	require.ErrorIs(t, err, stop)
	require.Equal(t, 1, calls)

	deleted, err := s.TrimSeries(t.Context(), 10)
	require.NoError(t, err)
	require.Zero(t, deleted)
	deleted, err = s.TrimSeries(t.Context(), 4)
	require.NoError(t, err)
	require.Equal(t, 6, deleted)
	require.Equal(t, []int64{97, 98, 99, 100}, generations(newest(t, s, 100)))
}
