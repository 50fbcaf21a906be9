package notify

import "context"

// Memo remembers short texts across restarts: which message of a chat stands for an incident, and which incidents were
// escalated. Keys are at most 512 bytes and values at most 1 KiB. An entry may be forgotten once its incident has been
// over for a month; what it was about is then told anew.
type Memo interface {
	// Get returns the value that was put last, and false when there is none.
	Get(ctx context.Context, key string) (value string, found bool, err error)
	// Put stores a value durably before it returns.
	Put(ctx context.Context, key, value string) error
}
