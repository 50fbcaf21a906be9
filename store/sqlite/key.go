package sqlite

import (
	"context"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/store"
)

// CreateKey keeps a new key. A known id or hash is CodeConflict; no id, an unknown scope, or a hash that is not SHA-256 is
// CodeInvalid.
func (s *Store) CreateKey(ctx context.Context, k engine.APIKey) error {
	if err := store.ValidateKey(k); err != nil {
		return storeError(err, "create key")
	}
	if _, err := s.write.ExecContext(ctx, `
		INSERT INTO api_keys (id, name, hash, scope, created, last_used, revoked) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		k.ID, k.Name, k.Hash, k.Scope, store.Nanos(k.Created), store.OptionalNanos(k.LastUsed), store.OptionalNanos(k.Revoked)); err != nil {
		return storeError(err, "create key %s", k.ID)
	}
	return nil
}

const selectKeys = `SELECT ` + store.KeyColumns + ` FROM api_keys`

// KeyByHash returns the key with that hash, or CodeNotFound. A revoked key is returned too, with Revoked set: it must be
// refused by the caller, who can then say why.
func (s *Store) KeyByHash(ctx context.Context, hash []byte) (engine.APIKey, error) {
	k, err := store.ScanKey(s.read.QueryRowContext(ctx, selectKeys+` WHERE hash = ?`, hash))
	if err != nil {
		return engine.APIKey{}, storeError(err, "key by hash")
	}
	return k, nil
}

// Keys returns all keys, revoked ones too, oldest first.
func (s *Store) Keys(ctx context.Context) ([]engine.APIKey, error) {
	keys, err := query(ctx, s.read, store.ReadKeys, selectKeys+` ORDER BY created, id`)
	if err != nil {
		return nil, storeError(err, "list keys")
	}
	return keys, nil
}

// RevokeKey ends a key at the given time; one that was revoked before keeps its time. An unknown id is CodeNotFound.
func (s *Store) RevokeKey(ctx context.Context, id string, at time.Time) error {
	return s.updateKey(ctx, "revoke", id, `UPDATE api_keys SET revoked = coalesce(revoked, ?) WHERE id = ?`, at)
}

// TouchKey says that a key was used; the latest time stands. An unknown id is CodeNotFound.
func (s *Store) TouchKey(ctx context.Context, id string, at time.Time) error {
	return s.updateKey(ctx, "touch", id, `UPDATE api_keys SET last_used = max(coalesce(last_used, 0), ?) WHERE id = ?`, at)
}

func (s *Store) updateKey(ctx context.Context, operation, id, statement string, at time.Time) error {
	result, err := s.write.ExecContext(ctx, statement, store.Nanos(at), store.Text(id))
	if err != nil {
		return storeError(err, "%s key %.64q", operation, id)
	}
	n, err := result.RowsAffected()
	if err != nil {
		return storeError(err, "%s key %.64q", operation, id)
	}
	if n == 0 {
		return storeError(engine.Errorf(engine.CodeNotFound, "no such key"), "%s key %.64q", operation, id)
	}
	return nil
}
