-- +goose Up
-- What is learnt of series: a row each, those in memory and those that memory has no room for.
CREATE TABLE shelved_series (
    id         BLOB PRIMARY KEY,
    generation INTEGER NOT NULL,
    state      BLOB NOT NULL
);
CREATE INDEX shelved_series_by_generation ON shelved_series (generation);

-- +goose Down
DROP TABLE shelved_series;
