-- +goose Up
-- Security events that no snapshot holds yet.
CREATE TABLE logged_events (
    number bigint PRIMARY KEY,
    body   json NOT NULL
);

-- +goose Down
DROP TABLE logged_events;
