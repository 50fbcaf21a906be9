package embedding

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/evals"
)

// perKind is how many texts of a kind of the data folder are compared: a model server takes its time.
const perKind = 100

// Parts are what is measured.
type Parts struct {
	Embedder engine.Embedder // what serves
	// Reference is the sentence encoder to compare with on the texts of the data folder, such as all-MiniLM-L6-v2 of a model server. With
	// nil, only the vectors that ship with the suite are compared with.
	Reference engine.Embedder
}

// Suite measures an embedder.
type Suite struct {
	parts            Parts
	texts, reference []byte // the files that ship with it
}

// New makes the suite. Without an embedder it is unavailable.
func New(parts Parts) *Suite { return &Suite{parts: parts, texts: textsFile, reference: referenceFile} }

// Name is embedding.
func (*Suite) Name() string { return "embedding" }

// Fit learns nothing.
func (*Suite) Fit(context.Context, evals.Env) (json.RawMessage, error) { return nil, nil }

// Run compares similarities and times the embedder. The metric spearman is that of the reference embedder where there is one, and that of
// the vectors that ship with the suite otherwise; both have a table.
func (s *Suite) Run(ctx context.Context, env evals.Env, _ json.RawMessage) (evals.Result, error) {
	r := evals.NewResult(s.Name())
	if s.parts.Embedder == nil {
		return r, evals.Unavailable("there is no embedder")
	}
	const steps = 3
	env.Progress(0, steps, "texts of the suite")
	texts, shipped, err := s.shipped(ctx)
	if err != nil {
		return r, err
	}
	s.compare(&r, env.Seed, shipped, "texts of the suite", "all-MiniLM-L6-v2, whose vectors ship with the suite")
	if s.parts.Reference != nil {
		env.Progress(1, steps, "texts of the data folder")
		data, err := s.data(ctx, env)
		switch {
		case errors.Is(err, evals.ErrUnavailable):
			r.Notes = append(r.Notes, "The reference embedder was not used: "+err.Error()+".")
		case err != nil:
			return r, err
		default:
			model := s.parts.Reference.Model()
			s.compare(&r, env.Seed, data, "texts of the data folder", fmt.Sprintf("%s %s, asked for this run", model.Name, model.Version))
		}
	}
	env.Progress(2, steps, "speed")
	if r.Metrics["texts_per_second"], err = s.speed(ctx, env.Seed, texts); err != nil {
		return r, err
	}
	env.Progress(steps, steps, "done")
	return r, nil
}

// compare reports what a sample shows, in place of the metric of an earlier one.
func (s *Suite) compare(r *evals.Result, seed uint64, of sample, texts, reference string) {
	all, ok := of.agree(seed)
	if !ok {
		r.Unavailable["spearman"] = "all " + texts + " are equally similar"
		return
	}
	delete(r.Unavailable, "spearman")
	model := s.parts.Embedder.Model()
	title := fmt.Sprintf("Similarities of %s: rank correlation of %s with %s", texts, model.Name, reference)
	r.Metrics["spearman"] = all.metric()
	r.Tables = append(r.Tables, of.table(title, all, seed))
	r.Charts = append(r.Charts, all.chart("Similarities of "+texts))
	r.Notes = []string{fmt.Sprintf("spearman compares %s %s with %s, on %d %s.", model.Name, model.Version, reference, all.texts, texts)}
}

// shipped is the sample whose reference vectors lie beside its texts.
func (s *Suite) shipped(ctx context.Context) ([]string, sample, error) {
	list, reference, err := decodeReference(s.texts, s.reference)
	if err != nil {
		return nil, sample{}, err
	}
	out := sample{reference: reference}
	texts := make([]string, len(list))
	for i, t := range list {
		texts[i] = t.Text
		out.kinds = append(out.kinds, t.Kind)
	}
	out.measured, err = embed(ctx, s.parts.Embedder, texts, nil)
	out.hashed = hashedWords(texts)
	return texts, out, err
}

// data is a sample of the texts of the data folder.
func (s *Suite) data(ctx context.Context, env evals.Env) (sample, error) {
	all, err := evals.ReadTexts(env)
	if err != nil {
		return sample{}, err
	}
	var out sample
	var texts []string
	for _, t := range pick(all, perKind, env.Seed) {
		out.kinds, out.groups, texts = append(out.kinds, string(t.Kind)), append(out.groups, t.Group), append(texts, t.Text)
	}
	if len(texts) < minTexts {
		return sample{}, evals.Unavailable("%s has %d texts, want %d", env.Data, len(texts), minTexts)
	}
	// An embedder behind a server knows its model only once it has answered.
	if _, err := embed(ctx, s.parts.Reference, texts[:1], nil); err != nil {
		return sample{}, err
	}
	key := fmt.Sprintf("reference vectors by %+v of texts %s", s.parts.Reference.Model(), evals.Digest(texts))
	out.reference, err = evals.Resume(env.Steps, key, func() ([][]float32, error) {
		return embed(ctx, s.parts.Reference, texts, func(done int) { env.Progress(done, len(texts), "reference embedder") })
	})
	if err != nil {
		return sample{}, err
	}
	out.measured, err = embed(ctx, s.parts.Embedder, texts, nil)
	out.hashed = hashedWords(texts)
	return out, err
}

// embed embeds in calls of a size that a model server answers in a second or two. progress may be nil.
func embed(ctx context.Context, e engine.Embedder, texts []string, progress func(done int)) ([][]float32, error) {
	const call = 16
	out := make([][]float32, 0, len(texts))
	for some := range slices.Chunk(texts, call) {
		vectors, err := e.Embed(ctx, some)
		if err != nil {
			return nil, fmt.Errorf("embedding: embed with %s: %w", e.Model().Name, err)
		}
		if len(vectors) != len(some) {
			return nil, fmt.Errorf("embedding: embed with %s: %d vectors of %d texts", e.Model().Name, len(vectors), len(some))
		}
		out = append(out, vectors...)
		if progress != nil {
			progress(len(out))
		}
	}
	return out, nil
}
