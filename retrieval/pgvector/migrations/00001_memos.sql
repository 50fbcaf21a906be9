-- +goose Up
-- Names and ids are compared byte by byte on every server.
CREATE TABLE collections (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    purpose       text COLLATE "C" NOT NULL,
    kind          text COLLATE "C" NOT NULL,
    model         text COLLATE "C" NOT NULL,
    model_version text COLLATE "C" NOT NULL,
    dimension     integer NOT NULL,
    items         bigint NOT NULL DEFAULT 0, -- rows of its partition; who changes them holds this row
    UNIQUE (purpose, kind, model, model_version, dimension)
);

-- Each collection is a partition memos_ID, with the vectors of one model, and an HNSW index memos_ID_hnsw once it is large.
CREATE TABLE memos (
    collection bigint NOT NULL,
    id         text COLLATE "C" NOT NULL,
    embedding  vector NOT NULL, -- of unit length, so that the inner product is the cosine
    text       text NOT NULL,
    service    text COLLATE "C" NOT NULL,
    operation  text COLLATE "C" NOT NULL,
    version    text COLLATE "C" NOT NULL,
    region     text COLLATE "C" NOT NULL,
    family     text NOT NULL,
    source     text NOT NULL,
    at         bigint NOT NULL, -- nanoseconds since 1970, the least integer for no time
    PRIMARY KEY (collection, id)
) PARTITION BY LIST (collection);
CREATE INDEX memos_service ON memos (service, operation);
CREATE INDEX memos_at ON memos (at, id);

-- +goose Down
DROP TABLE memos;
DROP TABLE collections;
