package notify

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Headers are what an operator adds to requests: credentials, mostly.
type Headers map[string]engine.Secret

// Validate refuses names and values that HTTP cannot carry, and the reserved names.
func (h Headers) Validate(reserved ...string) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(h)) {
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		switch {
		case !httpguts.ValidHeaderFieldName(name):
			errs = append(errs, fmt.Errorf("headers: %q is no name of a header", name))
		case canonical == "Host" || canonical == "Content-Length" || canonical == "Transfer-Encoding" || slices.Contains(reserved, canonical):
			errs = append(errs, fmt.Errorf("headers: %s cannot be set", name))
		case !httpguts.ValidHeaderFieldValue(h[name].Reveal()) || strings.TrimSpace(h[name].Reveal()) == "":
			errs = append(errs, fmt.Errorf("headers: the value of %s is empty or cannot be sent", name))
		}
	}
	return errors.Join(errs...)
}

// Apply sets the headers.
func (h Headers) Apply(to http.Header) {
	for name, value := range h {
		to.Set(name, value.Reveal())
	}
}
