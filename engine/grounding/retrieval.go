package grounding

import (
	"context"
	"fmt"
	"strings"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Retrieval implements engine.Detector for searches that find nothing to the point: the similarity of a query to the best of the
// documents that it found, the worst search of a trace.
type Retrieval struct {
	*past
	embedder engine.Embedder
}

// NewRetrieval returns a detector that has seen nothing. It compares by the embedder, in line: it wants one in the process.
func NewRetrieval(cfg Config, e engine.Embedder) (*Retrieval, error) {
	p, err := newPast(cfg)
	if err != nil {
		return nil, err
	}
	return &Retrieval{p, e}, nil
}

// Name implements engine.Detector.
func (r *Retrieval) Name() string { return "retrieval" }

const (
	pieceWords = 64  // of a document that are compared at once
	maxPieces  = 128 // of the documents of one search
)

// Score implements engine.Detector. It says nothing of a search of which the query was not recorded, and nothing where documents came
// without their text.
func (r *Retrieval) Score(ctx context.Context, o engine.Observation) ([]engine.Finding, error) {
	var f engine.Finding
	for i := range o.Trace.Spans {
		s := &o.Trace.Spans[i]
		if s.Operation != engine.OpRetrieval || s.Failed || strings.TrimSpace(s.Retrieval.Query) == "" {
			continue
		}
		similarity, document, ok, err := r.compare(ctx, s.Retrieval)
		if err != nil {
			return nil, fmt.Errorf("grounding: retrieval: %w", err)
		}
		if !ok || f.Type != "" && 1-similarity <= f.Raw {
			continue
		}
		f = engine.Finding{
			Type: engine.RetrievalIrrelevant, Detector: r.Name(), Series: s.Series(),
			Subject: engine.Subject{Kind: engine.SubjectService, Value: s.Service},
			At:      o.Trace.End(), TraceID: o.Trace.ID, SpanID: s.SpanID, Raw: 1 - similarity,
			Effect: engine.Effect{Current: similarity, Unit: "similarity"}, Excerpt: s.Retrieval.Query,
		}
		if document != "" {
			f.Excerpt += "\n" + document
		}
	}
	if f.Type == "" {
		return nil, nil
	}
	if r.weigh(&f); f.Learning {
		f.Excerpt = ""
		return []engine.Finding{f}, nil
	}
	f.Material = f.Effect.Baseline-f.Effect.Current >= r.cfg.SimilarityDrop
	f.Reason = fmt.Sprintf("the best document that was found has similarity %.2f to the query, normally %.2f", f.Effect.Current, f.Effect.Baseline)
	return []engine.Finding{f}, nil
}

// compare is the similarity of the query to the nearest piece of a document, and that piece: 0 when nothing was found. ok is false when
// it cannot be told.
func (r *Retrieval) compare(ctx context.Context, s engine.Retrieval) (similarity float64, nearest string, ok bool, err error) {
	pieces := []string{s.Query}
	for _, d := range s.Documents {
		all := strings.Fields(d.Text[:min(len(d.Text), r.cfg.MaxBytes)])
		for len(all) > 0 && len(pieces) <= maxPieces {
			n := min(len(all), pieceWords)
			pieces = append(pieces, strings.Join(all[:n], " "))
			all = all[n:]
		}
	}
	if len(pieces) == 1 {
		return 0, "", len(s.Documents) == 0, nil
	}
	vectors, err := r.embedder.Embed(ctx, pieces)
	if err != nil {
		return 0, "", false, err
	}
	if !engine.Usable(vectors[0]) {
		return 0, "", false, nil
	}
	for i, v := range vectors[1:] {
		if x := dot(vectors[0], v); nearest == "" || x > similarity {
			similarity, nearest = x, pieces[i+1]
		}
	}
	return max(0, similarity), nearest, true, nil
}

func dot(a, b []float32) float64 {
	var sum float64
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}

// Learn implements engine.Detector.
func (r *Retrieval) Learn(_ context.Context, o engine.Observation) error {
	if f, said := o.Own(r.Name()); said {
		r.learn(f, o.Trace.End())
	}
	return nil
}
