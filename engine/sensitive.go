package engine

// SensitiveKind is the type of a piece of sensitive data.
type SensitiveKind string

// The kinds that are looked for.
const (
	SensitiveEmail SensitiveKind = "email"
	SensitivePhone SensitiveKind = "phone"
	SensitiveCard  SensitiveKind = "card"
	SensitiveIBAN  SensitiveKind = "iban"
	SensitiveIP    SensitiveKind = "ip_address"
	SensitiveKey   SensitiveKind = "secret_key"
)

// Sensitive is one finding of a redactor: what was at which place of the original text, never the value itself.
type Sensitive struct {
	Kind  SensitiveKind `json:"kind"`
	Start int           `json:"start"` // byte offsets into the original text
	End   int           `json:"end"`
}
