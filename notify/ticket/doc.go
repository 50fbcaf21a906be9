// Package ticket files alerts with any system that takes an HTTP request: the body is a template of the operator's.
//
// The body and the URL are Go text/templates over the published message (notify.Message, by its Go names: {{.Title}},
// {{.IncidentID}}, {{.Metrics.Current}}). Besides the usual functions there are json, which writes any value as JSON, and
// path, which escapes a text for a segment of a URL. Templates are run at the start, over a full and an empty message, so that one
// that cannot work stops the service and not an alert; with a JSON content type what comes out must be JSON.
//
// Every alert that is routed here is one request, with the alert_id as Idempotency-Key. Which changes make a ticket is for the
// routes to say.
package ticket
