package retrieval

import (
	"cmp"
	"slices"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Prepared is the query with its vector at unit length and its filter as Filtered returns it. A K below 1, and a vector that
// has the wrong dimension or no direction, are CodeInvalid.
func Prepared(q engine.Query) (engine.Query, error) {
	if q.K < 1 {
		return q, engine.Errorf(engine.CodeInvalid, "k %d: want 1 or more", q.K)
	}
	var err error
	if q.Filter, err = Filtered(q.Filter); err != nil {
		return q, err
	}
	q.Vector, err = Unit(q.Vector, q.Collection.Model.Dimension)
	return q, err
}

// Filtered is the filter with its texts as Batches stores them. Ids that no memo can have are left out as long as one that a
// memo can have remains; a filter of none but those is CodeInvalid, since without ids it would not restrict.
func Filtered(f engine.Filter) (engine.Filter, error) {
	if err := checkCollection(f.Collection); err != nil {
		return f, err
	}
	for _, s := range []*string{&f.Service, &f.Operation, &f.Version, &f.Region} {
		*s = Text(*s)
	}
	possible := slices.DeleteFunc(slices.Clone(f.IDs), func(id string) bool { return checkID(id) != nil })
	if len(f.IDs) > 0 && len(possible) == 0 {
		return f, checkID(f.IDs[0])
	}
	f.IDs = possible
	return f, nil
}

// Rank orders neighbors from the most similar on, and of equal ones by their ids, and holds similarities to [-1, 1], which
// rounding may have carried the product of two unit vectors past.
func Rank(neighbors []engine.Neighbor) {
	for i := range neighbors {
		neighbors[i].Similarity = max(-1, min(1, neighbors[i].Similarity))
	}
	slices.SortFunc(neighbors, func(a, b engine.Neighbor) int {
		return cmp.Or(cmp.Compare(b.Similarity, a.Similarity), cmp.Compare(a.Memo.ID, b.Memo.ID))
	})
}
