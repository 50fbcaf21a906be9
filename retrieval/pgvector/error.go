package pgvector

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// memoryError puts the operation and its subject in front of err and gives it a code.
func memoryError(err error, format string, args ...any) error {
	return engine.Errorf(errorCode(err), "pgvector: %s: %w", fmt.Sprintf(format, args...), err)
}

// errorCode classes what the server and the network answer as store/postgres does, of a room that this one does not import.
func errorCode(err error) engine.Code {
	var coded *engine.Error
	var connect *pgconn.ConnectError
	var server *pgconn.PgError
	var network net.Error
	switch {
	case errors.As(err, &coded):
		return coded.Code
	case errors.Is(err, context.Canceled):
		return engine.CodeInternal // the caller's own doing
	case errors.As(err, &connect):
		return engine.CodeUnavailable
	case errors.As(err, &server):
		return serverCode(server.Code)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network), errors.Is(err, net.ErrClosed),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return engine.CodeUnavailable
	}
	return engine.CodeInternal
}

// serverCode classes an SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html.
func serverCode(state string) engine.Code {
	switch state {
	case "54000": // program_limit_exceeded: a value is too large
		return engine.CodeTooLarge
	case "25006", // read_only_sql_transaction: a standby
		"40001", "40P01", // serialization_failure, deadlock_detected
		"55P03",                            // lock_not_available
		"57014",                            // query_canceled, by a timeout of the server
		"57P01", "57P02", "57P03", "57P05", // the server stops, has crashed, starts, or has closed an idle session
		"58030": // io_error
		return engine.CodeUnavailable
	}
	if len(state) == 5 && (state[:2] == "08" || state[:2] == "53") { // connection exceptions, insufficient resources
		return engine.CodeUnavailable
	}
	return engine.CodeInternal
}
