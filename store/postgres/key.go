package postgres

import (
	"context"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/store"
)

const selectKeys = `SELECT ` + store.KeyColumns + ` FROM api_keys`

// CreateKey keeps a new key. A known id or hash is CodeConflict; no id, an unknown scope, or a hash that is not SHA-256 is
// CodeInvalid.
func (s *Store) CreateKey(ctx context.Context, k engine.APIKey) error {
	return s.call(ctx, func(ctx context.Context) error {
		if err := store.ValidateKey(k); err != nil {
			return err
		}
		_, err := s.pool.Exec(ctx, `INSERT INTO api_keys (`+store.KeyColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			k.ID, k.Name, k.Hash, k.Scope, store.Nanos(k.Created), store.OptionalNanos(k.LastUsed), store.OptionalNanos(k.Revoked))
		return err
	}, "create key %.64q", k.ID)
}

// KeyByHash returns the key with that hash, or CodeNotFound. A revoked key is returned too, with Revoked set: it must be
// refused by the caller, who can then say why.
func (s *Store) KeyByHash(ctx context.Context, hash []byte) (k engine.APIKey, err error) {
	err = s.call(ctx, func(ctx context.Context) error {
		k, err = store.ScanKey(s.pool.QueryRow(ctx, selectKeys+` WHERE hash = $1`, hash))
		return err
	}, "key by hash")
	return k, err
}

// Keys returns all keys, revoked ones too, oldest first.
func (s *Store) Keys(ctx context.Context) (keys []engine.APIKey, err error) {
	err = s.call(ctx, func(ctx context.Context) error {
		keys, err = query(ctx, s, store.ReadKeys, selectKeys+` ORDER BY created, id`)
		return err
	}, "list keys")
	return keys, err
}

// RevokeKey ends a key at the given time; one that was revoked before keeps its time. An unknown id is CodeNotFound.
func (s *Store) RevokeKey(ctx context.Context, id string, at time.Time) error {
	return s.updateKey(ctx, "revoke", id, `UPDATE api_keys SET revoked = coalesce(revoked, $1) WHERE id = $2`, at)
}

// TouchKey says that a key was used; the latest time stands. An unknown id is CodeNotFound.
func (s *Store) TouchKey(ctx context.Context, id string, at time.Time) error {
	return s.updateKey(ctx, "touch", id, `UPDATE api_keys SET last_used = greatest(last_used, $1) WHERE id = $2`, at)
}

func (s *Store) updateKey(ctx context.Context, operation, id, statement string, at time.Time) error {
	return s.call(ctx, func(ctx context.Context) error {
		done, err := s.pool.Exec(ctx, statement, store.Nanos(at), store.Text(id))
		if err == nil && done.RowsAffected() == 0 {
			return engine.Errorf(engine.CodeNotFound, "no such key")
		}
		return err
	}, "%s key %.64q", operation, id)
}
