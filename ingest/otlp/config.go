package otlp

import (
	"net"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// DefaultMaxBodyBytes bounds a request unless the configuration says otherwise.
const DefaultMaxBodyBytes = 16 << 20

// Config says where to listen and what to take.
type Config struct {
	GRPC         string        `yaml:"grpc"`           // host:port, "" disables
	HTTP         string        `yaml:"http"`           // host:port, "" disables
	MaxBodyBytes int           `yaml:"max_body_bytes"` // of one request, before and after decompression
	MaxRequests  int           `yaml:"max_requests"`   // worked on at once, over both protocols
	DrainTimeout time.Duration `yaml:"drain_timeout"`  // for requests under way when the receiver stops
	TLS          TLS           `yaml:"tls"`
}

// TLS is the certificate of both listeners, in PEM files. With it they speak TLS.
type TLS struct {
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
}

// DefaultConfig listens on OTLP's ports of the loopback interface.
func DefaultConfig() Config {
	return Config{
		GRPC:         "127.0.0.1:4317",
		HTTP:         "127.0.0.1:4318",
		MaxBodyBytes: DefaultMaxBodyBytes,
		MaxRequests:  64,
		DrainTimeout: 10 * time.Second,
	}
}

// Validate reports the first setting that makes no sense.
func (c Config) Validate() error {
	for _, l := range []struct{ name, addr string }{{"grpc", c.GRPC}, {"http", c.HTTP}} {
		if l.addr == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(l.addr); err != nil {
			return engine.Errorf(engine.CodeInvalid, "otlp: %s %q: want host:port", l.name, l.addr)
		}
	}
	switch {
	case c.MaxBodyBytes < 1:
		return engine.Errorf(engine.CodeInvalid, "otlp: max_body_bytes is %d, want at least 1", c.MaxBodyBytes)
	case c.MaxRequests < 1:
		return engine.Errorf(engine.CodeInvalid, "otlp: max_requests is %d, want at least 1", c.MaxRequests)
	case c.DrainTimeout <= 0:
		return engine.Errorf(engine.CodeInvalid, "otlp: drain_timeout is %s, want above 0", c.DrainTimeout)
	case (c.TLS.CertFile == "") != (c.TLS.KeyFile == ""):
		return engine.Errorf(engine.CodeInvalid, "otlp: tls: cert_file and key_file belong together")
	}
	return nil
}
