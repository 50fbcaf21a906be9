package engine

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestServicesAreBoundedAndComeBack(t *testing.T) {
	t.Parallel()
	book := newServiceBook(3)
	for n := range 10 {
		s := span(1, 1, 0, began.Add(time.Duration(n)*time.Minute))
		s.Service = fmt.Sprint("service-", n)
		book.saw([]Span{s, s})
	}
	require.Len(t, book.services, 3)
	require.Contains(t, book.services, "service-9")

	var buf bytes.Buffer
	require.NoError(t, book.Snapshot(&buf))
	again := newServiceBook(3)
	require.NoError(t, again.Restore(&buf))
	require.Equal(t, book.services, again.services)
}

func TestYoungServicesAreLookedAtWhole(t *testing.T) {
	t.Parallel()
	book := newServiceBook(3)
	require.True(t, book.young("shop"))
	for range youngSpans {
		book.saw([]Span{span(1, 1, 0, began)})
	}
	require.False(t, book.young("shop"))
}

func FuzzServiceBookRestore(f *testing.F) {
	f.Add([]byte(`{"shop":{"spans":3,"last_seen":"2026-03-02T09:00:00Z"}}`))
	f.Add([]byte(`null`))
	f.Add([]byte(`{"shop":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		book := newServiceBook(2)
		if book.Restore(bytes.NewReader(data)) == nil {
			book.saw([]Span{span(1, 1, 0, began)})
			require.LessOrEqual(t, len(book.services), 2)
		}
	})
}

func alphas(t testing.TB) *alphaBook {
	b, err := newAlphaBook(DefaultConfig().Alerts, 3)
	require.NoError(t, err)
	return b
}

func TestAlertsLowerTheLevelOfTheirServiceAndTimeRaisesIt(t *testing.T) {
	t.Parallel()
	b := alphas(t)
	initial := b.of("shop").Value()
	require.Equal(t, initial, b.of("billing").Value())
	b.tick(began)
	for range 20 {
		b.alerted("shop", began)
	}
	low := b.value("shop")
	require.Less(t, low, initial)
	require.Equal(t, initial, b.value("billing"))
	b.tick(began.Add(24 * time.Hour))
	require.Greater(t, b.value("shop"), low)
}

func TestAskingForALevelTakesNoRoom(t *testing.T) {
	t.Parallel()
	b := alphas(t)
	for n := range 100 {
		require.Equal(t, b.cfg.InitialAlpha, b.value(fmt.Sprint("made up ", n)))
	}
	b.alerted("shop", began)
	require.Less(t, b.value("shop"), b.cfg.InitialAlpha)
	for n := range 100 {
		b.alerted(fmt.Sprint("service-", n), began)
	}
	require.Equal(t, 3, b.levels.Len())
}

func TestLevelsComeBack(t *testing.T) {
	t.Parallel()
	b := alphas(t)
	b.tick(began)
	b.alerted("shop", began)
	var buf bytes.Buffer
	require.NoError(t, b.Snapshot(&buf))
	again := alphas(t)
	require.NoError(t, again.Restore(bytes.NewReader(buf.Bytes())))
	require.Equal(t, b.value("shop"), again.value("shop"))
	again.tick(began.Add(time.Hour))
	b.tick(began.Add(time.Hour))
	require.Equal(t, b.value("shop"), again.value("shop"))
}

func FuzzAlphaBookRestore(f *testing.F) {
	b := alphas(f)
	b.alerted("shop", began)
	var buf bytes.Buffer
	require.NoError(f, b.Snapshot(&buf))
	f.Add(buf.Bytes())
	f.Add([]byte(`{"shop":"AAAA"}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		b := alphas(t)
		if b.Restore(bytes.NewReader(data)) == nil {
			b.alerted("shop", began)
			require.GreaterOrEqual(t, b.value("shop"), b.cfg.MinAlpha*(1-1e-9))
			require.LessOrEqual(t, b.levels.Len(), 3)
		}
	})
}
