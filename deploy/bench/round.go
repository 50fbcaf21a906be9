package main

import (
	"context"
	"time"
)

// round is what one server did in one turn.
type round struct {
	spans   float64       // taken in and, by Sentinel, screened
	cpu     time.Duration // that the server used meanwhile
	wall    time.Duration
	mallocs float64
	refused int64 // requests that it had no room for
}

// perCore is spans a second of CPU time.
func (r round) perCore() float64 { return r.spans / r.cpu.Seconds() }

// measure drives a server: for warm without looking, so that queues are as full as they get and as much leaves them as comes in, and
// then for length.
func measure(ctx context.Context, s *server, g *generator, warm, length time.Duration) (round, error) {
	driving, stop := context.WithTimeout(ctx, warm+length)
	defer stop()
	type outcome struct {
		load load
		err  error
	}
	done := make(chan outcome, 1)
	go func() {
		l, err := g.run(driving, s.otlp)
		stop()
		done <- outcome{l, err}
	}()
	select {
	case <-time.After(warm):
	case <-driving.Done():
	}
	before, err := look(ctx, s)
	if err != nil {
		return round{}, err
	}
	<-driving.Done()
	after, err := look(ctx, s)
	if err != nil {
		return round{}, err
	}
	o := <-done
	if o.err != nil {
		return round{}, o.err
	}
	return round{
		spans: after.taken - before.taken, cpu: after.cpu - before.cpu, wall: after.at.Sub(before.at),
		mallocs: after.mallocs - before.mallocs, refused: o.load.refused,
	}, ctx.Err()
}

// reading is how far a server has come.
type reading struct {
	at             time.Time
	taken, mallocs float64
	cpu            time.Duration
}

// look reads what a server counts and what it cost.
func look(ctx context.Context, s *server) (reading, error) {
	values, err := s.counters(ctx)
	if err != nil {
		return reading{}, err
	}
	cpu, err := s.cpuTime()
	return reading{time.Now(), values[s.taken], values[s.mallocs], cpu}, err
}
