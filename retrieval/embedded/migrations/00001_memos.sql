-- +goose Up
CREATE TABLE collections (
    id            INTEGER PRIMARY KEY,
    purpose       TEXT NOT NULL,
    kind          TEXT NOT NULL,
    model         TEXT NOT NULL,
    model_version TEXT NOT NULL,
    dimension     INTEGER NOT NULL,
    UNIQUE (purpose, kind, model, model_version, dimension)
);

CREATE TABLE memos (
    collection INTEGER NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
    id         TEXT NOT NULL,
    vector     BLOB NOT NULL, -- dimension float32, little-endian, unit length
    text       TEXT NOT NULL,
    service    TEXT NOT NULL,
    operation  TEXT NOT NULL,
    version    TEXT NOT NULL,
    region     TEXT NOT NULL,
    family     TEXT NOT NULL,
    source     TEXT NOT NULL,
    at         INTEGER NOT NULL, -- nanoseconds since 1970, the least integer for no time
    UNIQUE (collection, id)
);

-- +goose Down
DROP TABLE memos;
DROP TABLE collections;
