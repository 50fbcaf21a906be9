// Package api is the REST interface of LLM-Sentinel and the page that people look at.
//
// Flowing in are requests: telemetry to be judged at once (POST /detect, POST /traces), telemetry to be taken in
// (the OTLP routes, whose handler is passed in), change markers and security events (POST /events/..., and webhooks, which
// package hook reads), decisions of people (acknowledge, resolve, explain, feedback, redeliver) and queries. Flowing out are
// verdicts, incidents with their evidence, states and metrics, as JSON in the shapes that openapi.yaml states; a test holds the
// two together. GET /stream is a WebSocket on which changes of incidents go out as they happen.
//
// # Access
//
// A request carries an API key as "Authorization: Bearer KEY" or "X-API-Key: KEY". A key has one scope:
//
//	ingest  may send: detect, traces, change markers, security events, OTLP
//	read    may look: everything that is a GET, but for deliveries that were given up
//	admin   may do all, also acknowledge, resolve, explain, give feedback and redeliver
//
// On a loopback listener a key is optional unless Config.RequireKeys is set; on any other it is required unless
// Config.AllowAnonymous is set. A wrong key is refused everywhere. Three things are open to all: the page's own files, the
// OpenAPI document, and the status (without its details) at /health. Webhooks prove where they come from by a signature or a
// token of their own; without a configured secret they are refused. Keys are stored as hashes only.
//
// A browser cannot be made to act for somebody else: names that do not belong to a loopback listener are refused (DNS
// rebinding), cross-origin writes and streams are refused, and there is no CORS.
//
// # What it never does
//
// It decides nothing about anomalies, keeps no state of its own beside a short-lived cache of keys, logs no body, and lets no
// text from telemetry become markup.
package api
