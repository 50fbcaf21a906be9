// Package webhook delivers alerts as signed HTTP requests.
//
// Each alert is one POST of the published message (docs/schemas/incident.alerts.schema.json) with these headers:
//
//	Content-Type: application/json
//	Idempotency-Key: the message's alert_id, the same in every attempt
//	Sentinel-Signature: t=1767225600,v1=5257a8…
//
// The signature is there when a secret is configured. t is when the request was signed, in Unix seconds; v1 is the HMAC-SHA256,
// in lower-case hexadecimal digits, under the secret, of the bytes of t, a full stop, and the bytes of the body as they were
// sent. While a secret is being replaced there are two v1, and one of them being right is enough. A receiver should compare in
// constant time, and refuse what was signed more than five minutes ago.
//
// A status of 2xx is a delivery. Redirects that keep method and body are followed on the same scheme and host only.
package webhook
