package embedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Memory is an engine.Memory inside of the process. It is safe for concurrent use.
type Memory struct {
	cfg  Config
	log  *slog.Logger
	file *file // nil when nothing outlives the process

	writing sync.Mutex   // held while a write goes to the file, or a collection comes from it
	mu      sync.RWMutex // held by writers for the moment in which a change is put in place
	loaded  map[engine.Collection]*collection
}

// Open opens the memory in cfg.Path, making it when it is missing. A file that a newer version of the program has written
// is refused with CodeConflict.
func Open(ctx context.Context, cfg Config, logger *slog.Logger) (*Memory, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	m := &Memory{
		cfg: cfg, log: logger.With("component", "retrieval/embedded"), loaded: map[engine.Collection]*collection{},
	}
	if cfg.volatile() {
		return m, nil
	}
	var err error
	if m.file, err = openFile(ctx, cfg); err != nil {
		return nil, memoryError(err, "open %s", cfg.Path)
	}
	return m, nil
}

// Close waits for a running write and closes the file. The memory must not be used afterwards.
func (m *Memory) Close() error {
	if m.file == nil {
		return nil
	}
	m.writing.Lock()
	defer m.writing.Unlock()
	return m.file.db.Close()
}

// Remember keeps the items, all or none; of two with one id in one collection the later stands. An item without an id or
// with a vector that has the wrong dimension or no direction is CodeInvalid. Beyond the bound of a collection its oldest
// memos are evicted, which may be items that have just come.
func (m *Memory) Remember(ctx context.Context, items []engine.Memo) error {
	if len(items) == 0 {
		return nil
	}
	changes, err := group(items)
	if err != nil {
		return memoryError(err, "remember %d memos", len(items))
	}
	m.writing.Lock()
	defer m.writing.Unlock()
	for i := range changes {
		c, err := m.load(ctx, changes[i].key)
		if err != nil {
			return memoryError(err, "remember %d memos", len(items))
		}
		if c == nil {
			c = newCollection(changes[i].key)
		}
		changes[i].remove = c.overflow(changes[i].put, m.cfg.MaxPerCollection)
	}
	evicted, err := m.apply(ctx, changes)
	if err != nil {
		return memoryError(err, "remember %d memos", len(items))
	}
	if evicted > 0 {
		m.log.DebugContext(ctx, "oldest memos evicted", "count", evicted)
	}
	return nil
}

// group sorts the items by collection, with their vectors at unit length.
func group(items []engine.Memo) ([]change, error) {
	var changes []change
	place := map[engine.Collection]int{}
	for _, item := range items {
		if item.ID == "" {
			return nil, engine.Errorf(engine.CodeInvalid, "memo without an id")
		}
		if item.Collection.Model.Dimension < 1 {
			return nil, engine.Errorf(engine.CodeInvalid, "memo %.64q: dimension %d", item.ID, item.Collection.Model.Dimension)
		}
		v, err := unit(item.Vector, item.Collection.Model.Dimension)
		if err != nil {
			return nil, fmt.Errorf("memo %.64q: %w", item.ID, err)
		}
		item.Vector = v
		i, known := place[item.Collection]
		if !known {
			i = len(changes)
			place[item.Collection] = i
			changes = append(changes, change{key: item.Collection, put: map[string]engine.Memo{}})
		}
		changes[i].put[item.ID] = item
	}
	return changes, nil
}

// apply writes the changes to the file and then puts them in place. The caller holds m.writing, and has loaded the
// collections that the file has.
func (m *Memory) apply(ctx context.Context, changes []change) (removed int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if m.file != nil {
		if err := m.file.apply(ctx, changes); err != nil {
			return 0, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, ch := range changes {
		c := m.loaded[ch.key]
		if c == nil {
			c = newCollection(ch.key)
			m.loaded[ch.key] = c
		}
		for _, item := range ch.put {
			c.put(item)
		}
		for _, id := range ch.remove {
			c.remove(id)
		}
		if len(ch.put) > 0 { // Forget puts nothing, and what it removes is not evicted
			c.evicted += uint64(len(ch.remove))
		}
		removed += len(ch.remove)
	}
	return removed, nil
}

// load returns a collection, from the file when it is not in memory yet; nil when there is none. The caller holds m.writing.
func (m *Memory) load(ctx context.Context, key engine.Collection) (*collection, error) {
	if c := m.find(key); c != nil || m.file == nil {
		return c, nil
	}
	c, err := m.file.load(ctx, key)
	if c == nil || err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.loaded[key] = c
	return c, nil
}

func (m *Memory) find(key engine.Collection) *collection {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.loaded[key]
}

// ensure is load for callers that do not write.
func (m *Memory) ensure(ctx context.Context, key engine.Collection) (*collection, error) {
	if c := m.find(key); c != nil || m.file == nil {
		return c, nil
	}
	m.writing.Lock()
	defer m.writing.Unlock()
	return m.load(ctx, key)
}

// Nearest returns up to q.K neighbors, most similar first and of equal ones the lesser id first. A vector that has the wrong
// dimension or no direction, and a K below 1, are CodeInvalid.
func (m *Memory) Nearest(ctx context.Context, q engine.Query) ([]engine.Neighbor, error) {
	if q.K < 1 {
		return nil, memoryError(engine.Errorf(engine.CodeInvalid, "k %d: want 1 or more", q.K), "nearest")
	}
	v, err := unit(q.Vector, q.Collection.Model.Dimension)
	if err != nil {
		return nil, memoryError(err, "nearest")
	}
	if err := ctx.Err(); err != nil {
		return nil, memoryError(err, "nearest")
	}
	c, err := m.ensure(ctx, q.Collection)
	if err != nil {
		return nil, memoryError(err, "nearest: load %s %s", q.Collection.Purpose, q.Collection.Kind)
	}
	if c == nil {
		return nil, nil
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return c.nearest(q.Filter, v, q.K), nil
}

// Forget deletes what passes the filter and says how many; a filter with nothing but its collection empties that.
func (m *Memory) Forget(ctx context.Context, f engine.Filter) (int, error) {
	m.writing.Lock()
	defer m.writing.Unlock()
	c, err := m.load(ctx, f.Collection)
	if err != nil {
		return 0, memoryError(err, "forget: load %s %s", f.Collection.Purpose, f.Collection.Kind)
	}
	if c == nil {
		return 0, nil
	}
	ch := change{key: f.Collection}
	c.each(f, func(i int) { ch.remove = append(ch.remove, c.rows[i].id) }) // only writers change c, and we are the writer
	removed, err := m.apply(ctx, []change{ch})
	if err != nil {
		return 0, memoryError(err, "forget")
	}
	return removed, nil
}

// CollectionStats is the size of a collection that is in memory.
type CollectionStats struct {
	Collection engine.Collection
	Items      int
	Evicted    uint64 // since the memory was opened
}

// Stats tells about the collections in use, in order of purpose, kind and model.
func (m *Memory) Stats() []CollectionStats {
	m.mu.RLock()
	defer m.mu.RUnlock()
	stats := make([]CollectionStats, 0, len(m.loaded))
	for key, c := range m.loaded {
		stats = append(stats, CollectionStats{key, len(c.rows), c.evicted})
	}
	slices.SortFunc(stats, func(a, b CollectionStats) int {
		x, y := a.Collection, b.Collection
		return cmp.Or(cmp.Compare(x.Purpose, y.Purpose), cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.Model.Name, y.Model.Name),
			cmp.Compare(x.Model.Version, y.Model.Version), cmp.Compare(x.Model.Dimension, y.Model.Dimension))
	})
	return stats
}

// Evicted is how many memos this memory has forgotten because their collection was full.
func (m *Memory) Evicted() uint64 {
	var sum uint64
	for _, s := range m.Stats() {
		sum += s.Evicted
	}
	return sum
}

// memoryError puts the operation and its subject in front of err and gives it a code.
func memoryError(err error, format string, args ...any) error {
	code := engine.CodeInternal
	var coded *engine.Error
	var driver *sqlite.Error
	switch {
	case errors.As(err, &coded):
		code = coded.Code
	case errors.As(err, &driver):
		switch driver.Code() & 0xff { // the primary code of an extended one
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR:
			code = engine.CodeUnavailable
		}
	}
	return engine.Errorf(code, "embedded memory: %s: %w", fmt.Sprintf(format, args...), err)
}
