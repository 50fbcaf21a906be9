// Package batch joins the texts of callers that wait at the same time into one call of a model server.
//
// Texts of concurrent calls flow in; while a call of the inner embedder is under way those that come meanwhile gather, and go together as
// the next. Nobody waits for company: a text that comes alone is passed on at once. Vectors flow out to whom they belong. When a joint call
// is refused, each caller's texts are tried alone, so that nobody fails for another's text. The package keeps and logs no text.
package batch
