package engine

import (
	"context"
	"fmt"
)

// RememberAttacks puts texts that are known to be attacks into each lens' memory: redacted, cut and embedded as the texts of traces are.
// Detectors that learn from attacks learn them.
// Of a memo the id, text, family, source, time and the kind of its collection count.
func (p *Pipeline) RememberAttacks(ctx context.Context, known []Memo) error {
	for _, d := range p.parts.Semantic {
		if learner, ok := d.(AttackLearner); ok {
			for _, m := range known {
				text, _ := p.parts.Redactor.Redact(m.Text)
				learner.LearnAttack(m.Collection.Kind, text)
			}
		}
	}
	for _, lens := range p.parts.Lenses {
		for _, m := range known {
			text, _ := p.parts.Redactor.Redact(m.Text)
			pieces := chunks(text, p.cfg.ChunkWords)
			if len(pieces) == 0 {
				continue
			}
			vectors, err := lens.Embedder.Embed(ctx, pieces)
			if err != nil {
				return fmt.Errorf("engine: attack %s: %w", m.ID, err)
			}
			items := make([]Memo, 0, len(pieces))
			for i, piece := range pieces {
				if !Usable(vectors[i]) {
					continue
				}
				item := m
				item.ID = fmt.Sprintf("%s-%d", m.ID, i)
				item.Collection = Collection{Purpose: PurposeAttack, Kind: m.Collection.Kind, Model: lens.Embedder.Model()}
				item.Text, item.Vector = excerpt(piece, p.cfg.Evidence.ExcerptBytes), vectors[i]
				items = append(items, item)
			}
			if err := lens.Memory.Remember(ctx, items); err != nil {
				return fmt.Errorf("engine: attack %s: %w", m.ID, err)
			}
		}
	}
	return nil
}
