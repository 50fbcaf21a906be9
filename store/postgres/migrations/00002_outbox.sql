-- +goose Up
-- The numbers of alerts are in the order of their commits: whoever writes some holds a lock.
CREATE TABLE alerts (
    seq    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id     text COLLATE "C" NOT NULL UNIQUE,
    at     bigint NOT NULL,
    routed boolean NOT NULL DEFAULT false,
    body   json NOT NULL
);
CREATE INDEX alerts_unrouted ON alerts (seq) WHERE NOT routed;
CREATE INDEX alerts_at ON alerts (at) WHERE routed;

CREATE TABLE deliveries (
    id       text COLLATE "C" PRIMARY KEY, -- alert and receiver in one
    alert    bigint NOT NULL REFERENCES alerts (seq) ON DELETE CASCADE,
    receiver text COLLATE "C" NOT NULL,
    state    text NOT NULL,
    attempts integer NOT NULL,
    next     bigint NOT NULL,
    changed  bigint NOT NULL,
    error    text NOT NULL
);
CREATE INDEX deliveries_alert ON deliveries (alert);
CREATE INDEX deliveries_state ON deliveries (state, changed, id);
CREATE INDEX deliveries_due ON deliveries (next, alert) WHERE state = 'waiting';

CREATE TABLE receiver_memos (
    receiver text COLLATE "C" NOT NULL,
    key      text COLLATE "C" NOT NULL,
    at       bigint NOT NULL,
    value    text NOT NULL,
    PRIMARY KEY (receiver, key)
);
CREATE INDEX receiver_memos_at ON receiver_memos (at);

-- +goose Down
DROP TABLE receiver_memos;
DROP TABLE deliveries;
DROP TABLE alerts;
