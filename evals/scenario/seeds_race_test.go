//go:build race

package scenario

// A scenario has no goroutines, so the race detector only makes it slow.
const seeds = 3
