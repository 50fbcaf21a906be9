package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
)

// settings are what the command line says.
type settings struct {
	sentinel, collector string // programs
	rounds              int
	warm, length        time.Duration
	workers             int
	only                string
}

func main() {
	var s settings
	flag.StringVar(&s.sentinel, "sentinel", "bin/sentinel", "program of Sentinel")
	flag.StringVar(&s.collector, "collector", "bin/bench-collector", "program of the Collector, built from ./collector")
	flag.IntVar(&s.rounds, "rounds", 5, "turns of each server")
	flag.DurationVar(&s.warm, "warm", 5*time.Second, "load before each turn that is not measured")
	flag.DurationVar(&s.length, "length", 8*time.Second, "what is measured of a turn")
	flag.IntVar(&s.workers, "workers", 8, "requests under way at once")
	flag.StringVar(&s.only, "only", "", "only the contest whose name holds this word")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, s, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// The cores of the server under load and of this generator.
const (
	serverCore    = 0
	generatorCore = 1
)

func run(ctx context.Context, s settings, out, progress io.Writer) (err error) {
	if s.rounds < 1 || s.workers < 1 || s.length <= 0 || s.warm < 0 {
		return errors.New("rounds and workers must be at least 1, length above 0, warm not negative")
	}
	if runtime.NumCPU() < 2 {
		return errors.New("needs two cores, one for a server and one for the generator")
	}
	if err := pin(os.Getpid(), generatorCore); err != nil {
		return err
	}
	runtime.GOMAXPROCS(1)
	dir, err := os.MkdirTemp("", "sentinel-bench-")
	if err != nil {
		return fmt.Errorf("temporary folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	const perWorker = 4
	requests, err := newRequests(s.workers*perWorker, 1)
	if err != nil {
		return err
	}
	g := &generator{requests: requests, workers: s.workers, serial: new(atomic.Uint64)}
	fmt.Fprintf(out, "%d spans a request, %d attributes a span, %d bytes of messages among them, %d bytes a request; %d requests at once\n",
		spansPerRequest, attributesPerSpan, messageBytes, len(requests[0].body), s.workers)
	for _, c := range []struct{ name, config string }{
		{"screening: decoded, mapped, screened and assembled; no trace is sampled for the semantic tier", screeningConfig},
		{"default: the same with the default configuration, which compares a sample of traces by meaning", ""},
	} {
		if !strings.Contains(c.name, s.only) {
			continue
		}
		result, err := compare(ctx, s, g, filepath.Join(dir, c.name[:7]), c.config, progress)
		if err != nil {
			return err
		}
		result.name = c.name
		result.print(out)
	}
	return nil
}

// compare runs both servers and gives them turns. The one whose turn it is not is idle.
func compare(ctx context.Context, s settings, g *generator, dir, config string, progress io.Writer) (c contest, err error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return c, fmt.Errorf("temporary folder: %w", err)
	}
	sentinel, err := startSentinel(ctx, s.sentinel, dir, config)
	defer func() { err = errors.Join(err, sentinel.stop()) }()
	if err != nil {
		return c, err
	}
	collector, err := startCollector(ctx, s.collector, dir)
	defer func() { err = errors.Join(err, collector.stop()) }()
	if err != nil {
		return c, err
	}
	for i := range s.rounds {
		fmt.Fprintf(progress, "round %d of %d\n", i+1, s.rounds)
		ours, err := measure(ctx, sentinel, g, s.warm, s.length)
		if err != nil {
			return c, err
		}
		theirs, err := measure(ctx, collector, g, s.warm, s.length)
		if err != nil {
			return c, err
		}
		c.sentinel, c.other = append(c.sentinel, ours), append(c.other, theirs)
	}
	return c, nil
}
