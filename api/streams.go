package api

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// streams are the connections that the HTTP server has handed over and does not stop.
type streams struct {
	ctx    context.Context // done when they must end
	cancel context.CancelFunc

	pingEvery time.Duration // also how often keys are checked again

	mu   sync.Mutex // no stream enters once stop has returned
	open sync.WaitGroup
}

func newStreams() *streams {
	ctx, cancel := context.WithCancel(context.Background())
	return &streams{ctx: ctx, cancel: cancel, pingEvery: streamPingEvery}
}

// enter reports false when streams must end.
func (s *streams) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return false
	}
	s.open.Add(1)
	return true
}

func (s *streams) leave() { s.open.Done() }

// stop asks all streams to end.
func (s *streams) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancel()
}

// wait returns once all streams have ended after stop, or with ctx.
func (s *streams) wait(ctx context.Context) error {
	ended := make(chan struct{})
	go func() {
		s.open.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("api: streams cut off: %w", ctx.Err())
	}
}
