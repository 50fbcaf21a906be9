// Package genai maps OpenTelemetry spans and log records of model workflows, in every dialect of attribute names that
// clients send, to the domain model of package engine.
//
// In flow the decoded requests ([ptrace.Traces], [plog.Logs]); out flows a [Result]: spans, texts that arrived apart from
// their span as log records, evaluations, and what was refused, with reasons. One table (table.go) lists a row for each
// domain field with the attribute names that set it, newest first. The first name present wins, and aliases are never
// summed. Names that no row lists are ignored.
//
// Dialects are levelled, so that the same call arrives as the same span whoever instrumented it:
//
//   - messages with the role "system" or "developer" are moved from the input to [engine.Span.System];
//   - a text in a message of the role "tool" is a tool response;
//   - media keep their type and lose their content;
//   - a message attribute that is not valid JSON is one text, never an error;
//   - an exception's type loses its package name, and a status message its leading error type.
//
// The mapper keeps no state between requests, never panics on input, never judges and never redacts.
package genai
