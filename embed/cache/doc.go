// Package cache remembers the vectors of texts that were embedded before, in front of any other embedder.
//
// System prompts, tool descriptions and retries repeat word for word, so a bounded memory by content saves most calls to a
// model server. Texts flow in; those that are not known are passed on, each once, in one call; vectors flow out. Only the
// SHA-256 of a text is kept, never the text, and the least recently used vector makes room for a new one. A failing call is
// not remembered.
package cache
