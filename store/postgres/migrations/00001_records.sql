-- +goose Up
-- Ids are compared byte by byte, so that listings have one order on every server. Bodies are json and not jsonb, which
-- refuses \u0000 and changes numbers.
CREATE TABLE incidents (
    id          text COLLATE "C" PRIMARY KEY,
    type        text NOT NULL,
    severity    smallint NOT NULL, -- rank, 0 low to 3 critical
    status      text NOT NULL,
    onset       bigint NOT NULL, -- all times: nanoseconds since 1970
    last_seen   bigint NOT NULL,
    resolved_at bigint,
    body        json NOT NULL
);
CREATE INDEX incidents_onset ON incidents (onset, id);
CREATE INDEX incidents_status ON incidents (status, resolved_at);

CREATE TABLE incident_services (
    incident_id text COLLATE "C" NOT NULL REFERENCES incidents (id) ON DELETE CASCADE,
    service     text NOT NULL,
    PRIMARY KEY (incident_id, service)
);

-- An anomaly names its incident without a foreign key: either may be pruned before the other.
CREATE TABLE anomalies (
    id          text COLLATE "C" PRIMARY KEY,
    at          bigint NOT NULL,
    type        text NOT NULL,
    severity    smallint NOT NULL,
    service     text NOT NULL,
    incident_id text NOT NULL,
    body        json NOT NULL
);
CREATE INDEX anomalies_at ON anomalies (at, id);
CREATE INDEX anomalies_service ON anomalies (service, at, id);
CREATE INDEX anomalies_incident ON anomalies (incident_id, at, id);

CREATE TABLE feedback (
    id          text COLLATE "C" PRIMARY KEY,
    at          bigint NOT NULL,
    incident_id text NOT NULL,
    body        json NOT NULL
);
CREATE INDEX feedback_at ON feedback (at, id);
CREATE INDEX feedback_incident ON feedback (incident_id, at, id);

CREATE TABLE markers (
    id   text COLLATE "C" PRIMARY KEY,
    at   bigint NOT NULL,
    body json NOT NULL
);
CREATE INDEX markers_at ON markers (at, id);

CREATE TABLE snapshots (
    name text COLLATE "C" PRIMARY KEY,
    at   bigint NOT NULL,
    data bytea NOT NULL
);

CREATE TABLE deferred (
    seq      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    trace_id bytea NOT NULL UNIQUE,
    body     json NOT NULL
);

CREATE TABLE api_keys (
    id        text COLLATE "C" PRIMARY KEY,
    name      text NOT NULL,
    hash      bytea NOT NULL UNIQUE,
    scope     text NOT NULL,
    created   bigint NOT NULL,
    last_used bigint,
    revoked   bigint
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
