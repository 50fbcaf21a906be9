package qdrant

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/qdrant/go-client/qdrant"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/retrieval"
)

// Memory is an engine.Memory in a Qdrant server. It is safe for concurrent use, and several processes may use one server.
type Memory struct {
	cfg         Config
	log         *slog.Logger
	conn        *grpc.ClientConn
	collections qdrant.CollectionsClient
	points      qdrant.PointsClient

	prepared sync.Map   // names of the collections that are as this package needs them
	evicting sync.Mutex // held by the one call that makes room
	evicted  atomic.Uint64
}

// Open makes the memory and asks the server whether it is there. One that does not answer is logged and no error: it is asked
// again by each call. An error means that the configuration cannot work.
func Open(ctx context.Context, cfg Config, logger *slog.Logger) (*Memory, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	conn, err := dial(cfg)
	if err != nil {
		return nil, err
	}
	client := qdrant.NewGrpcClientFromConn(conn)
	m := &Memory{
		cfg: cfg, log: logger.With("component", "retrieval/qdrant"), conn: conn,
		collections: client.Collections(), points: client.Points(),
	}
	if cfg.APIKey != "" && !cfg.TLS.Enabled {
		m.log.WarnContext(ctx, "the API key crosses the network in the clear: set tls", "address", cfg.Address)
	}
	reply, err := client.Qdrant().HealthCheck(ctx, &qdrant.HealthCheckRequest{})
	if err != nil {
		m.log.WarnContext(ctx, "Qdrant does not answer yet", "address", cfg.Address, "error", m.failure(ctx, err, "open %s", cfg.Address))
		return m, nil
	}
	m.log.InfoContext(ctx, "connected", "address", cfg.Address, "version", reply.GetVersion())
	return m, nil
}

// Close ends the connection. Calls that are running fail.
func (m *Memory) Close() error { return m.conn.Close() }

// Evicted is how many memos this memory has forgotten because their collection was full.
func (m *Memory) Evicted() uint64 { return m.evicted.Load() }

// Remember keeps the items; of two with one id in one collection the later stands. Before anything is written all of them are
// checked: an item without an id, or with a vector that has the wrong dimension or no direction, is CodeInvalid. Beyond the
// bound of a collection its oldest memos are evicted, which may be items that have just come.
func (m *Memory) Remember(ctx context.Context, items []engine.Memo) error {
	batches, err := retrieval.Batches(items)
	if err != nil {
		return m.failure(ctx, err, "remember %d memos", len(items))
	}
	for _, b := range batches {
		if err := m.remember(ctx, b); err != nil {
			return m.failure(ctx, err, "remember %d memos in %s %s", len(b.Memos), b.Collection.Purpose, b.Collection.Kind)
		}
	}
	return nil
}

func (m *Memory) remember(ctx context.Context, b retrieval.Batch) error {
	name := m.collectionName(b.Collection)
	for memos := range slices.Chunk(b.Memos, m.cfg.BatchSize) {
		points := make([]*qdrant.PointStruct, len(memos))
		for i, item := range memos {
			points[i] = point(item)
		}
		if err := m.upsert(ctx, b.Collection, name, points); err != nil {
			return err
		}
	}
	return m.evict(ctx, name)
}

func (m *Memory) upsert(ctx context.Context, collection engine.Collection, name string, points []*qdrant.PointStruct) error {
	request := &qdrant.UpsertPoints{CollectionName: name, Wait: qdrant.PtrOf(true), Points: points}
	for lost := false; ; lost = true {
		if err := m.prepare(ctx, collection, name); err != nil {
			return err
		}
		_, err := m.points.Upsert(ctx, request)
		if status.Code(err) != codes.NotFound || lost {
			return err
		}
		m.prepared.Delete(name) // the server has lost its collections, or somebody has deleted this one
	}
}

// Nearest returns up to q.K neighbors, most similar first and of equal ones the lesser id first. A vector that has the wrong
// dimension or no direction, and a K below 1, are CodeInvalid.
func (m *Memory) Nearest(ctx context.Context, q engine.Query) ([]engine.Neighbor, error) {
	q, err := retrieval.Prepared(q)
	if err != nil {
		return nil, m.failure(ctx, err, "nearest")
	}
	request := &qdrant.QueryPoints{
		CollectionName: m.collectionName(q.Collection),
		Query:          qdrant.NewQueryDense(q.Vector),
		Filter:         filter(q.Filter),
		Limit:          qdrant.PtrOf(uint64(q.K)),
		WithPayload:    qdrant.NewWithPayload(true),
		Params:         &qdrant.SearchParams{HnswEf: qdrant.PtrOf(uint64(max(m.cfg.EfSearch, q.K)))},
	}
	if m.cfg.Quantization.Type != QuantizationNone {
		request.Params.Quantization = &qdrant.QuantizationSearchParams{
			Rescore: qdrant.PtrOf(true), Oversampling: qdrant.PtrOf(m.cfg.Quantization.Oversampling),
		}
	}
	reply, err := m.points.Query(ctx, request)
	if status.Code(err) == codes.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, m.failure(ctx, err, "nearest in %s %s", q.Collection.Purpose, q.Collection.Kind)
	}
	neighbors := make([]engine.Neighbor, len(reply.GetResult()))
	for i, found := range reply.GetResult() {
		neighbors[i] = engine.Neighbor{Memo: memo(q.Collection, found.GetPayload()), Similarity: float64(found.GetScore())}
	}
	retrieval.Rank(neighbors)
	return neighbors, nil
}

// Forget deletes what passes the filter and says how many; a filter with nothing but its collection empties that. What others
// write while it runs may be deleted without being counted.
func (m *Memory) Forget(ctx context.Context, f engine.Filter) (int, error) {
	f, err := retrieval.Filtered(f)
	if err != nil {
		return 0, m.failure(ctx, err, "forget")
	}
	name, chosen := m.collectionName(f.Collection), filter(f)
	count, err := m.count(ctx, name, chosen, true)
	if status.Code(err) == codes.NotFound {
		return 0, nil
	}
	if err == nil && count > 0 {
		_, err = m.points.Delete(ctx, &qdrant.DeletePoints{
			CollectionName: name, Wait: qdrant.PtrOf(true), Points: qdrant.NewPointsSelectorFilter(chosen),
		})
	}
	if err != nil {
		return 0, m.failure(ctx, err, "forget in %s %s", f.Collection.Purpose, f.Collection.Kind)
	}
	return count, nil
}

// Settle returns when Qdrant has arranged what was written through this memory: when its indexes are made. Searches need not
// wait for that; who measures them does.
func (m *Memory) Settle(ctx context.Context) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for name := range m.prepared.Range {
		for {
			reply, err := m.collections.Get(ctx, &qdrant.GetCollectionInfoRequest{CollectionName: name.(string)})
			if err != nil {
				return m.failure(ctx, err, "settle %s", name)
			}
			if reply.GetResult().GetStatus() == qdrant.CollectionStatus_Green {
				break
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return m.failure(ctx, ctx.Err(), "settle %s", name)
			}
		}
	}
	return nil
}

// count is how many points pass the filter. One that is not exact may be too high while Qdrant rearranges its segments.
func (m *Memory) count(ctx context.Context, name string, f *qdrant.Filter, exact bool) (int, error) {
	reply, err := m.points.Count(ctx, &qdrant.CountPoints{CollectionName: name, Filter: f, Exact: &exact})
	return int(reply.GetResult().GetCount()), err
}
