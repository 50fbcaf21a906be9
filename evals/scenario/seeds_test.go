//go:build !race

package scenario

const seeds = 20
