package qdrant

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"regexp"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Config says where the server is, what bounds its use, and how collections are made. What shapes a collection holds for those
// that are made from then on.
type Config struct {
	// Address is host:port of the gRPC service, which is 6334 by default.
	Address string `yaml:"address"`
	// APIKey is sent with each call when it is set.
	APIKey engine.Secret `yaml:"api_key"`
	// TLS says whether and how the connection is encrypted.
	TLS TLS `yaml:"tls"`
	// Prefix begins the names of the collections. Installations that share a server have different ones.
	Prefix string `yaml:"prefix"`
	// Timeout is how long one request to the server may take; a call may make several.
	Timeout time.Duration `yaml:"timeout"`
	// BatchSize is how many memos go into one request.
	BatchSize int `yaml:"batch_size"`
	// MaxPerCollection is how many memos a collection holds. Beyond it the oldest make room, and a hundredth of the bound with
	// them, so that not every write has to.
	MaxPerCollection int `yaml:"max_per_collection"`
	// M is the number of links of a vector in the index, EfConstruct how many candidates are looked at for them, EfSearch how
	// many a search looks at. Higher is more exact and slower.
	M           int `yaml:"m"`
	EfConstruct int `yaml:"ef_construct"`
	EfSearch    int `yaml:"ef_search"`
	// OnDisk keeps the vectors as they were given on disk, and only what a search compares first in memory.
	OnDisk bool `yaml:"on_disk"`
	// Quantization is what a search compares first.
	Quantization Quantization `yaml:"quantization"`
}

// Quantization is how vectors are compressed for comparing.
type Quantization struct {
	// Type is int8, a quarter of the size, or none.
	Type QuantizationType `yaml:"type"`
	// Quantile of the components is what 8 bits span; those beyond it are clipped.
	Quantile float64 `yaml:"quantile"`
	// Oversampling is how many candidates a neighbor are compared again with their vectors as they were given.
	Oversampling float64 `yaml:"oversampling"`
}

// QuantizationType names a way to compress.
type QuantizationType string

// The ways to compress.
const (
	QuantizationNone QuantizationType = "none"
	QuantizationInt8 QuantizationType = "int8"
)

// TLS encrypts a connection. Certificates are always verified.
type TLS struct {
	Enabled bool   `yaml:"enabled"`
	CAFile  string `yaml:"ca_file"` // PEM file of the authorities to trust; "" is the system's
}

// DefaultConfig is for a server of one's own on this machine.
func DefaultConfig() Config {
	return Config{
		Address:          "localhost:6334",
		Prefix:           "sentinel",
		Timeout:          5 * time.Second,
		BatchSize:        256,
		MaxPerCollection: 100_000,
		M:                16,
		EfConstruct:      128,
		EfSearch:         128,
		Quantization:     Quantization{Type: QuantizationInt8, Quantile: 0.99, Oversampling: 2},
	}
}

// Validate says what is wrong with the first setting that is. The API key is not part of what it says.
func (c Config) Validate() error {
	host, port, err := net.SplitHostPort(c.Address)
	q := c.Quantization
	switch {
	case err != nil || host == "" || port == "":
		return engine.Errorf(engine.CodeInvalid, "qdrant: address %.128q: want host:port", c.Address)
	case c.TLS.CAFile != "" && !c.TLS.Enabled:
		return engine.Errorf(engine.CodeInvalid, "qdrant: tls: ca_file %q, and enabled is false", c.TLS.CAFile)
	case !plainName.MatchString(c.Prefix):
		return engine.Errorf(engine.CodeInvalid, "qdrant: prefix %.64q: want 1 to 32 letters, digits, _ and -", c.Prefix)
	case c.Timeout <= 0:
		return engine.Errorf(engine.CodeInvalid, "qdrant: timeout %s: want more than 0", c.Timeout)
	case c.BatchSize < 1 || c.BatchSize > maxBatch:
		return engine.Errorf(engine.CodeInvalid, "qdrant: batch_size %d: want 1 to %d", c.BatchSize, maxBatch)
	case c.MaxPerCollection < 1:
		return engine.Errorf(engine.CodeInvalid, "qdrant: max_per_collection %d: want 1 or more", c.MaxPerCollection)
	case c.M < 4 || c.M > 128:
		return engine.Errorf(engine.CodeInvalid, "qdrant: m %d: want 4 to 128", c.M)
	case c.EfConstruct < 4 || c.EfConstruct > 4096:
		return engine.Errorf(engine.CodeInvalid, "qdrant: ef_construct %d: want 4 to 4096", c.EfConstruct)
	case c.EfSearch < 1 || c.EfSearch > 4096:
		return engine.Errorf(engine.CodeInvalid, "qdrant: ef_search %d: want 1 to 4096", c.EfSearch)
	case q.Type != QuantizationNone && q.Type != QuantizationInt8:
		return engine.Errorf(engine.CodeInvalid, "qdrant: quantization.type %.64q: want %s or %s", q.Type, QuantizationInt8, QuantizationNone)
	case !(q.Quantile >= 0.5 && q.Quantile <= 1):
		return engine.Errorf(engine.CodeInvalid, "qdrant: quantization.quantile %g: want 0.5 to 1", q.Quantile)
	case !(q.Oversampling >= 1 && q.Oversampling <= 100):
		return engine.Errorf(engine.CodeInvalid, "qdrant: quantization.oversampling %g: want 1 to 100", q.Oversampling)
	}
	return nil
}

const maxBatch = 10_000

var plainName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)

// tls is how the connection is encrypted.
func (c Config) tlsConfig() (*tls.Config, error) {
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.TLS.CAFile == "" {
		return out, nil
	}
	pem, err := os.ReadFile(c.TLS.CAFile)
	if err != nil {
		return nil, engine.Errorf(engine.CodeInvalid, "qdrant: tls: ca_file: %w", err)
	}
	out.RootCAs = x509.NewCertPool()
	if !out.RootCAs.AppendCertsFromPEM(pem) {
		return nil, engine.Errorf(engine.CodeInvalid, "qdrant: tls: ca_file %q: no certificate in it", c.TLS.CAFile)
	}
	return out, nil
}
