-- +goose Up
-- Security events that no snapshot holds yet.
CREATE TABLE logged_events (
    number INTEGER PRIMARY KEY,
    body   TEXT NOT NULL
);

-- +goose Down
DROP TABLE logged_events;
