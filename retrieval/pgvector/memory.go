package pgvector

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	vector "github.com/pgvector/pgvector-go"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/retrieval"
)

// Memory is an engine.Memory in a schema of a PostgreSQL database. It is safe for concurrent use, by several processes too.
type Memory struct {
	cfg Config
	log *slog.Logger

	preparing chan struct{} // holds one token while pool is made or looked at
	pool      *pgxpool.Pool // nil until the server was there
	closed    bool

	known   sync.Map // engine.Collection to collection
	evicted atomic.Uint64

	background context.Context // of the indexes that are being made
	stop       context.CancelFunc
	mu         sync.Mutex
	indexes    map[int64]chan struct{} // made or being made, by collection; closed when done
}

// Open connects and brings the schema up to date, making it when it is missing. A server that cannot be reached is logged and
// no error: the first call that finds it does the rest. A schema that a newer version of the program has written is refused with
// CodeConflict, a database that lacks the extension or what it needs with CodeInvalid.
func Open(ctx context.Context, cfg Config, logger *slog.Logger) (*Memory, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	connections, err := cfg.pool()
	if err != nil {
		return nil, err
	}
	where := address(connections.ConnConfig)
	m := &Memory{cfg: cfg, log: logger.With("component", "retrieval/pgvector"), preparing: make(chan struct{}, 1), indexes: map[int64]chan struct{}{}}
	m.background, m.stop = context.WithCancel(context.Background())
	err = m.call(ctx, func(context.Context, *pgxpool.Pool) error { return nil }, "open schema %s of %s", cfg.Schema, where)
	if engine.ErrorCode(err) == engine.CodeUnavailable {
		m.log.WarnContext(ctx, "PostgreSQL does not answer yet", "server", where, "error", err)
		return m, nil
	}
	if err != nil {
		m.stop()
		return nil, err
	}
	return m, nil
}

// address names a database without user and password.
func address(server *pgx.ConnConfig) string {
	return net.JoinHostPort(server.Host, strconv.Itoa(int(server.Port))) + "/" + server.Database
}

// Close breaks off the making of indexes, waits for running calls and closes the connections.
func (m *Memory) Close() error {
	m.mu.Lock()
	m.stop()
	m.mu.Unlock()
	if err := m.Settle(context.Background()); err != nil {
		return err
	}
	m.preparing <- struct{}{}
	defer func() { <-m.preparing }()
	if m.pool != nil {
		m.pool.Close()
	}
	m.pool, m.closed = nil, true
	return nil
}

// Evicted is how many memos this memory has forgotten because their collection was full.
func (m *Memory) Evicted() uint64 { return m.evicted.Load() }

// call runs do within the time that one call may take, and says in its error what was called.
func (m *Memory) call(ctx context.Context, do func(ctx context.Context, pool *pgxpool.Pool) error, format string, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, m.cfg.Timeout)
	defer cancel()
	pool, err := m.server(ctx)
	if err == nil {
		err = do(ctx, pool)
	}
	if err != nil {
		return memoryError(err, format, args...)
	}
	return nil
}

// Remember keeps the items, all or none; of two with one id in one collection the later stands. An item without an id, or with
// a vector that has the wrong dimension or no direction, is CodeInvalid. Beyond the bound of a collection its oldest memos are
// evicted, which may be items that have just come.
func (m *Memory) Remember(ctx context.Context, items []engine.Memo) error {
	batches, err := retrieval.Batches(items)
	if err != nil {
		return memoryError(err, "remember %d memos", len(items))
	}
	if len(batches) == 0 {
		return nil
	}
	return m.call(ctx, func(ctx context.Context, pool *pgxpool.Pool) error {
		collections := make([]collection, len(batches))
		for i, b := range batches {
			if collections[i], err = m.ensure(ctx, pool, b.Collection); err != nil {
				return err
			}
		}
		held, evicted := make([]int, len(batches)), 0
		if err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			if err := stage(ctx, tx, collections, batches); err != nil {
				return err
			}
			for i, c := range collections {
				items, gone, err := m.put(ctx, tx, c)
				if err != nil {
					return err
				}
				held[i], evicted = items, evicted+gone
			}
			return nil
		}); err != nil {
			return err
		}
		if evicted > 0 {
			m.evicted.Add(uint64(evicted))
			m.log.DebugContext(ctx, "oldest memos evicted", "count", evicted)
		}
		for i, c := range collections {
			m.indexLater(pool, c, held[i])
		}
		return nil
	}, "remember %d memos", len(items))
}

// columns of a memo, as they are staged, stored and read.
const columns = `id, embedding, text, service, operation, version, region, family, source, at`

// stage sends all rows of a write at once.
func stage(ctx context.Context, tx pgx.Tx, collections []collection, batches []retrieval.Batch) error {
	var rows [][]any
	for i, b := range batches {
		for _, item := range b.Memos {
			rows = append(rows, []any{
				collections[i].id, item.ID, vector.NewVector(item.Vector), item.Text, item.Service, item.Operation, item.Version,
				item.Region, item.Family, item.Source, retrieval.Nanos(item.At),
			})
		}
	}
	names := append([]string{"collection"}, strings.Split(columns, ", ")...)
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"pg_temp", "staged_memos"}, names, pgx.CopyFromRows(rows))
	return err
}

// put sorts the staged rows of a collection in, makes room, and says how many the collection then holds.
func (m *Memory) put(ctx context.Context, tx pgx.Tx, c collection) (items, evicted int, err error) {
	if items, err = lock(ctx, tx, c); err != nil {
		return 0, 0, err
	}
	var added int
	if err := tx.QueryRow(ctx, fmt.Sprintf(`
		WITH put AS (
			INSERT INTO %s (collection, %[2]s) SELECT collection, %[2]s FROM pg_temp.staged_memos WHERE collection = $1
			ON CONFLICT (collection, id) DO UPDATE SET embedding = excluded.embedding, text = excluded.text,
				service = excluded.service, operation = excluded.operation, version = excluded.version,
				region = excluded.region, family = excluded.family, source = excluded.source, at = excluded.at
			RETURNING xmax = 0 AS added -- no earlier version of the row
		) SELECT count(*) FILTER (WHERE added) FROM put`, c.table(), columns), c.id).Scan(&added); err != nil {
		return 0, 0, err
	}
	items += added
	if items > m.cfg.MaxPerCollection {
		tag, err := tx.Exec(ctx, fmt.Sprintf(`
			DELETE FROM %[1]s WHERE id IN (SELECT id FROM %[1]s ORDER BY at, id LIMIT $1)`, c.table()),
			items-m.cfg.MaxPerCollection+m.cfg.MaxPerCollection/100)
		if err != nil {
			return 0, 0, err
		}
		evicted = int(tag.RowsAffected())
		items -= evicted
	}
	return items, evicted, record(ctx, tx, c, items)
}

// lock makes other writers of the collection wait for the end of the transaction, and says how many memos it holds.
func lock(ctx context.Context, tx pgx.Tx, c collection) (items int, err error) {
	err = tx.QueryRow(ctx, `SELECT items FROM collections WHERE id = $1 FOR UPDATE`, c.id).Scan(&items)
	return items, err
}

func record(ctx context.Context, tx pgx.Tx, c collection, items int) error {
	_, err := tx.Exec(ctx, `UPDATE collections SET items = $2 WHERE id = $1`, c.id, items)
	return err
}

// Forget deletes what passes the filter and says how many; a filter with nothing but its collection empties that.
func (m *Memory) Forget(ctx context.Context, f engine.Filter) (int, error) {
	f, err := retrieval.Filtered(f)
	if err != nil {
		return 0, memoryError(err, "forget")
	}
	var deleted int
	err = m.call(ctx, func(ctx context.Context, pool *pgxpool.Pool) error {
		c, found, err := m.find(ctx, pool, f.Collection)
		if err != nil || !found {
			return err
		}
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			items, err := lock(ctx, tx, c)
			if err != nil {
				return err
			}
			where, args := conditions(f, nil)
			tag, err := tx.Exec(ctx, `DELETE FROM `+c.table()+where, args...)
			if err != nil {
				return err
			}
			deleted = int(tag.RowsAffected())
			return record(ctx, tx, c, items-deleted)
		})
	}, "forget in %s %s", f.Collection.Purpose, f.Collection.Kind)
	if err != nil {
		return 0, err
	}
	return deleted, nil
}
