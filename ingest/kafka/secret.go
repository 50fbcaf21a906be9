package kafka

// Secret is a credential. However it is printed, logged or encoded, it shows that it is set and nothing else.
type Secret string

const secretShown = "***"

// Reveal returns the credential itself, for the one call that needs it.
func (s Secret) Reveal() string { return string(s) }

// String hides the credential.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return secretShown
}

// GoString hides the credential from %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText hides the credential from JSON, YAML and slog.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
