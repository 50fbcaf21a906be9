-- +goose Up
CREATE TABLE incidents (
    id          TEXT PRIMARY KEY,
    type        TEXT NOT NULL,
    severity    INTEGER NOT NULL, -- rank, 0 low to 3 critical
    status      TEXT NOT NULL,
    onset       INTEGER NOT NULL,
    last_seen   INTEGER NOT NULL,
    resolved_at INTEGER,
    body        TEXT NOT NULL
);
CREATE INDEX incidents_onset ON incidents (onset, id);
CREATE INDEX incidents_status ON incidents (status, resolved_at);

CREATE TABLE incident_services (
    incident_id TEXT NOT NULL REFERENCES incidents (id) ON DELETE CASCADE,
    service     TEXT NOT NULL,
    PRIMARY KEY (incident_id, service)
) WITHOUT ROWID;

-- An anomaly names its incident without a foreign key: either may be pruned before the other.
CREATE TABLE anomalies (
    id          TEXT PRIMARY KEY,
    at          INTEGER NOT NULL,
    type        TEXT NOT NULL,
    severity    INTEGER NOT NULL,
    service     TEXT NOT NULL,
    incident_id TEXT NOT NULL,
    body        TEXT NOT NULL
);
CREATE INDEX anomalies_at ON anomalies (at, id);
CREATE INDEX anomalies_service ON anomalies (service, at, id);
CREATE INDEX anomalies_incident ON anomalies (incident_id, at, id);

CREATE TABLE feedback (
    id          TEXT PRIMARY KEY,
    at          INTEGER NOT NULL,
    incident_id TEXT NOT NULL,
    body        TEXT NOT NULL
);
CREATE INDEX feedback_at ON feedback (at, id);
CREATE INDEX feedback_incident ON feedback (incident_id, at, id);

CREATE TABLE markers (
    id   TEXT PRIMARY KEY,
    at   INTEGER NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX markers_at ON markers (at, id);

CREATE TABLE snapshots (
    name TEXT PRIMARY KEY,
    at   INTEGER NOT NULL,
    data BLOB NOT NULL
);

CREATE TABLE deferred (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    trace_id BLOB NOT NULL UNIQUE,
    body     TEXT NOT NULL
);

CREATE TABLE api_keys (
    id        TEXT PRIMARY KEY,
    name      TEXT NOT NULL,
    hash      BLOB NOT NULL UNIQUE,
    scope     TEXT NOT NULL,
    created   INTEGER NOT NULL,
    last_used INTEGER,
    revoked   INTEGER
);

-- +goose Down
DROP TABLE api_keys;
DROP TABLE deferred;
DROP TABLE snapshots;
DROP TABLE markers;
DROP TABLE feedback;
DROP TABLE anomalies;
DROP TABLE incident_services;
DROP TABLE incidents;
