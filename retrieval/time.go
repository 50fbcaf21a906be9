package retrieval

import (
	"math"
	"time"
)

// noTime stands for the zero time.
const noTime = math.MinInt64

var (
	earliest = time.Unix(0, noTime+1)
	latest   = time.Unix(0, math.MaxInt64)
)

// Nanos is a time as it is stored: nanoseconds since 1970, the nearest that 64 bits express, and the least integer for the
// zero time.
func Nanos(t time.Time) int64 {
	switch {
	case t.IsZero():
		return noTime
	case t.Before(earliest):
		return noTime + 1
	case t.After(latest):
		return math.MaxInt64
	}
	return t.UnixNano()
}

// Time is the time, in UTC, that Nanos has made an integer of.
func Time(nanos int64) time.Time {
	if nanos == noTime {
		return time.Time{}
	}
	return time.Unix(0, nanos).UTC()
}
