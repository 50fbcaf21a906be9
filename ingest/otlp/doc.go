// Package otlp receives OpenTelemetry traces and logs over gRPC and HTTP and hands them to the engine.
//
// In flow Export calls of OTLP/gRPC and POST requests of OTLP/HTTP on /v1/traces, /v1/logs and /v1/metrics, in protobuf or JSON,
// gzip or not. Out flow [engine.Batch] values, one a request. Metrics are accepted and dropped, so that an SDK with its
// defaults does not report errors.
//
// The answers follow the OTLP specification:
//
//   - a success means that the batch is accepted in memory;
//   - spans or log records that cannot be used are refused one by one, and the success says how many and why (partial success);
//   - what is not OTLP at all is refused whole, with 400, 401, 413 or 415, and the client does not try again;
//   - when the engine is full or a part of it is down, the client is told when to come back: 429 or 503 with Retry-After,
//     UNAVAILABLE with RetryInfo. At most [Config].MaxRequests requests are worked on at once; more are told the same.
//
// The package buffers nothing and never writes payloads to the log.
package otlp
