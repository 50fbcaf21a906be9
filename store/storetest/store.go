package storetest

import (
	"context"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Store is what a backend of the store room offers. Errors carry an engine.Code.
type Store interface {
	engine.Journal
	engine.MarkerLog
	engine.SnapshotStore
	engine.Shelf
	engine.EventLog
	engine.Backlog
	engine.Outbox
	engine.DeadLetters

	// DroppedDeliveries is how many dead deliveries were forgotten because there were too many.
	DroppedDeliveries() uint64
	ReceiverMemo(ctx context.Context, receiver, key string) (string, error)
	SaveReceiverMemo(ctx context.Context, receiver, key, value string) error

	Anomaly(ctx context.Context, id string) (engine.Anomaly, error)
	Anomalies(ctx context.Context, q engine.AnomalyQuery) (engine.Page[engine.Anomaly], error)
	Incident(ctx context.Context, id string) (engine.Incident, error)
	Incidents(ctx context.Context, q engine.IncidentQuery) (engine.Page[engine.Incident], error)

	engine.FeedbackLog

	CreateKey(ctx context.Context, k engine.APIKey) error
	KeyByHash(ctx context.Context, hash []byte) (engine.APIKey, error)
	Keys(ctx context.Context) ([]engine.APIKey, error)
	RevokeKey(ctx context.Context, id string, at time.Time) error
	TouchKey(ctx context.Context, id string, at time.Time) error

	// Prune deletes resolved incidents, anomalies, feedback, markers, memos of receivers and alerts that nobody is still to get from
	// before a time and says how many.
	Prune(ctx context.Context, before time.Time) (int, error)
	Close() error
}
