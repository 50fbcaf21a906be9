// Package ingest holds what turns bytes from outside into [engine.Batch] values.
//
//   - otlp receives OpenTelemetry over gRPC and HTTP.
//   - kafka reads OpenTelemetry and security events from topics.
//   - rabbitmq reads the events of guards and gateways from queues.
//   - replay reads OTLP files.
//   - genai maps every dialect of attribute names to the domain.
//   - redact replaces sensitive data in texts; the engine applies it where text leaves the hot path.
//
// In flow protobuf or JSON requests; out flow spans, texts and evaluations in the terms of package engine, each within
// stated limits, and reasons for what was refused. Nothing here judges, stores or embeds anything, and no package here
// writes prompt texts to a log.
package ingest
