// Package replay reads OTLP files: what the Collector's file exporter writes, and what people save by hand.
//
// In flows a file or standard input. Out flow requests, one at a time ([Reader]). The format is recognised by its first bytes:
//
//   - gzip of any of the following;
//   - JSON lines, one OTLP/JSON request a line;
//   - OTLP/JSON requests that are spread over lines (pretty-printed);
//   - one protobuf request;
//   - protobuf requests, each behind its length as four bytes, most significant first.
//
// A request that cannot be read is an error that names file and line, after which reading can go on with the next one. At most
// one request is in memory at a time, and no longer than the limit that was given. Times are taken as they are recorded.
package replay
