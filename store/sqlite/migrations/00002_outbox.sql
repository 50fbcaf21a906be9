-- +goose Up
CREATE TABLE alerts (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    id     TEXT NOT NULL UNIQUE,
    at     INTEGER NOT NULL,
    routed INTEGER NOT NULL DEFAULT 0,
    body   TEXT NOT NULL
);
CREATE INDEX alerts_unrouted ON alerts (seq) WHERE NOT routed;
CREATE INDEX alerts_at ON alerts (at) WHERE routed;

CREATE TABLE deliveries (
    id       TEXT PRIMARY KEY, -- alert and receiver in one
    alert    INTEGER NOT NULL REFERENCES alerts (seq) ON DELETE CASCADE,
    receiver TEXT NOT NULL,
    state    TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    next     INTEGER NOT NULL,
    changed  INTEGER NOT NULL,
    error    TEXT NOT NULL
);
CREATE INDEX deliveries_alert ON deliveries (alert);
CREATE INDEX deliveries_state ON deliveries (state, changed, id);
CREATE INDEX deliveries_due ON deliveries (next, alert) WHERE state = 'waiting';

CREATE TABLE receiver_memos (
    receiver TEXT NOT NULL,
    key      TEXT NOT NULL,
    at       INTEGER NOT NULL,
    value    TEXT NOT NULL,
    PRIMARY KEY (receiver, key)
);
CREATE INDEX receiver_memos_at ON receiver_memos (at);

-- +goose Down
DROP TABLE receiver_memos;
DROP TABLE deliveries;
DROP TABLE alerts;
