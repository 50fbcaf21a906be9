package qdrant

import (
	"context"

	"github.com/qdrant/go-client/qdrant"
)

// evict makes room in a collection that holds more than it may.
func (m *Memory) evict(ctx context.Context, name string) error {
	// Counting exactly takes time, and an estimate that is off is never too low.
	if n, err := m.count(ctx, name, nil, false); err != nil || n <= m.cfg.MaxPerCollection {
		return err
	}
	m.evicting.Lock()
	defer m.evicting.Unlock()
	n, err := m.count(ctx, name, nil, true)
	if err != nil || n <= m.cfg.MaxPerCollection {
		return err
	}
	surplus := n - m.cfg.MaxPerCollection + m.cfg.MaxPerCollection/100
	for left := surplus; left > 0; {
		deleted, err := m.deleteOldest(ctx, name, min(left, m.cfg.BatchSize))
		if err != nil {
			return err
		}
		if deleted == 0 { // others have deleted in between
			break
		}
		left -= deleted
		m.evicted.Add(uint64(deleted))
	}
	m.log.DebugContext(ctx, "oldest memos evicted", "collection", name, "count", surplus)
	return nil
}

func (m *Memory) deleteOldest(ctx context.Context, name string, limit int) (int, error) {
	reply, err := m.points.Scroll(ctx, &qdrant.ScrollPoints{
		CollectionName: name, Limit: qdrant.PtrOf(uint32(limit)), WithPayload: qdrant.NewWithPayload(false),
		OrderBy: &qdrant.OrderBy{Key: fieldAt, Direction: qdrant.Direction_Asc.Enum()},
	})
	if err != nil || len(reply.GetResult()) == 0 {
		return 0, err
	}
	ids := make([]*qdrant.PointId, len(reply.GetResult()))
	for i, p := range reply.GetResult() {
		ids[i] = p.GetId()
	}
	_, err = m.points.Delete(ctx, &qdrant.DeletePoints{
		CollectionName: name, Wait: qdrant.PtrOf(true), Points: qdrant.NewPointsSelector(ids...),
	})
	return len(ids), err
}
