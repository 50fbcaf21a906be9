package engine

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWatermarkFollowsTheLatestEvent(t *testing.T) {
	t.Parallel()
	w := watermark{lateness: 30 * time.Second, idle: 2 * time.Second}
	now := began.Add(24 * time.Hour) // a replay: events are of yesterday
	require.True(t, w.at(now).IsZero(), "nothing heard yet")
	require.True(t, w.hear(began, now))
	require.Equal(t, began.Add(-30*time.Second), w.at(now))
	require.True(t, w.hear(began.Add(-time.Hour), now))
	require.Equal(t, began.Add(-30*time.Second), w.at(now), "a late event does not turn it back")
	require.Equal(t, began.Add(-30*time.Second), w.at(now.Add(2*time.Second)))
}

func TestIdleWatermarkGoesOnByTheWallClock(t *testing.T) {
	t.Parallel()
	w := watermark{lateness: 30 * time.Second, idle: 2 * time.Second}
	w.hear(began, began)
	require.Equal(t, began.Add(58*time.Second-30*time.Second), w.at(began.Add(time.Minute)))
	w.hear(began.Add(time.Second), began.Add(time.Minute))
	require.Equal(t, began.Add(time.Second-30*time.Second), w.at(began.Add(time.Minute)), "events are heard again")
}

func TestFutureEventsAreNotBelieved(t *testing.T) {
	t.Parallel()
	w := watermark{lateness: 30 * time.Second, idle: 2 * time.Second}
	w.hear(began, began)
	require.False(t, w.hear(began.Add(24*time.Hour), began))
	require.Equal(t, began.Add(-30*time.Second), w.at(began))
	require.True(t, w.hear(began.Add(maxAhead), began), "clocks differ a little")
}
