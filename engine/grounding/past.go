package grounding

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/statistical"
)

// past is the calm scores of each service: it makes p-values of raw scores, and a detector an engine.Snapshotter.
type past struct {
	cfg      Config
	mu       sync.Mutex
	services *simplelru.LRU[string, *scores]
}

// scores is the calm past of one service.
type scores struct {
	raw   *statistical.Conformal
	usual *statistical.Quantity // of the effect
}

func newPast(cfg Config) (*past, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	services, err := simplelru.NewLRU[string, *scores](cfg.MaxServices, nil)
	if err != nil {
		return nil, fmt.Errorf("grounding: %w", err)
	}
	return &past{cfg: cfg, services: services}, nil
}

func (p *past) fresh() *scores {
	return &scores{statistical.NewConformal(p.cfg.KeepScores, 1), statistical.NewQuantity(statistical.QuantityConfig{})}
}

// weigh gives a finding its p-value and what is usual; it says learning while there are too few scores.
func (p *past) weigh(f *engine.Finding) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f.P = 1
	s, ok := p.services.Peek(f.Series.Service)
	if !ok || s.raw.Len() < p.cfg.MinScores {
		f.Learning = true
		return
	}
	f.P = s.raw.UpperP(f.Raw)
	if usual := s.usual.Median(); !math.IsNaN(usual) {
		f.Effect.Baseline = usual
	}
}

// learn takes in what was said of a calm trace.
func (p *past) learn(f engine.Finding, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, ok := p.services.Get(f.Series.Service)
	if !ok {
		s = p.fresh()
		p.services.Add(f.Series.Service, s)
	}
	s.raw.Add(f.Raw)
	s.usual.Add(at, max(0, f.Effect.Current))
}

// scoresState is one service in a snapshot.
type scoresState struct {
	Service    string
	Raw, Usual []byte
}

// Snapshot implements engine.Snapshotter.
func (p *past) Snapshot(w io.Writer) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]scoresState, 0, p.services.Len()) // least recently used first
	for _, service := range p.services.Keys() {
		s, _ := p.services.Peek(service)
		raw, err := s.raw.MarshalBinary()
		if err != nil {
			return fmt.Errorf("grounding: snapshot %s: %w", service, err)
		}
		usual, err := s.usual.MarshalBinary()
		if err != nil {
			return fmt.Errorf("grounding: snapshot %s: %w", service, err)
		}
		out = append(out, scoresState{service, raw, usual})
	}
	if err := gob.NewEncoder(w).Encode(out); err != nil {
		return fmt.Errorf("grounding: snapshot: %w", err)
	}
	return nil
}

// Restore implements engine.Snapshotter. On an error nothing changes.
func (p *past) Restore(r io.Reader) error {
	var in []scoresState
	if err := gob.NewDecoder(r).Decode(&in); err != nil {
		return fmt.Errorf("grounding: restore: %w", err)
	}
	restored := make([]*scores, len(in))
	for i, x := range in {
		s := p.fresh()
		if err := errors.Join(s.raw.UnmarshalBinary(x.Raw), s.usual.UnmarshalBinary(x.Usual)); err != nil {
			return fmt.Errorf("grounding: restore %s: %w", x.Service, err)
		}
		restored[i] = s
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.services.Purge()
	for i, s := range restored {
		p.services.Add(in[i].Service, s)
	}
	return nil
}
