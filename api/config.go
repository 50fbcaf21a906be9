package api

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
)

// Config is what an operator may set.
type Config struct {
	Listen         string   `yaml:"listen"`          // host:port; port 0 takes a free one
	AllowAnonymous bool     `yaml:"allow_anonymous"` // serve requests without a key on a listener that is not loopback
	RequireKeys    bool     `yaml:"require_keys"`    // ask for a key on loopback too
	AllowedHosts   []string `yaml:"allowed_hosts"`   // names of this server in the Host header, beside localhost; no port
	TLS            TLS      `yaml:"tls"`

	MaxBodyBytes int64 `yaml:"max_body_bytes"` // of a telemetry request as sent, and of traces to score decompressed too
	MaxJSONBytes int64 `yaml:"max_json_bytes"` // of any other request body
	MaxUploads   int   `yaml:"max_uploads"`    // requests with a body that are worked on at once; more are told to come back

	ReadTimeout     time.Duration `yaml:"read_timeout"`     // for a whole request to arrive
	WriteTimeout    time.Duration `yaml:"write_timeout"`    // for a whole answer, an explanation by a language model included
	EventTimeout    time.Duration `yaml:"event_timeout"`    // for a change marker to be stored
	ShutdownTimeout time.Duration `yaml:"shutdown_timeout"` // for requests under way when the server stops
}

// TLS is the certificate of the listener, in PEM files. With it the listener speaks TLS.
type TLS struct {
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
}

// DefaultConfig serves this machine only.
func DefaultConfig() Config {
	return Config{
		Listen:          "127.0.0.1:8080",
		MaxBodyBytes:    16 << 20,
		MaxJSONBytes:    1 << 20,
		MaxUploads:      32,
		ReadTimeout:     time.Minute,
		WriteTimeout:    2 * time.Minute,
		EventTimeout:    10 * time.Second,
		ShutdownTimeout: 10 * time.Second,
	}
}

// Validate names the first setting that cannot work.
func (c Config) Validate() error {
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return fmt.Errorf("listen: %q is not host:port: %w", c.Listen, err)
	}
	if c.AllowAnonymous && c.RequireKeys {
		return fmt.Errorf("allow_anonymous and require_keys contradict each other")
	}
	for _, host := range c.AllowedHosts {
		if host == "" || strings.ContainsAny(host, "/ ") || hostname(host) != strings.ToLower(host) {
			return fmt.Errorf("allowed_hosts: %q is not a host name without a port", host)
		}
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		return fmt.Errorf("tls: cert_file and key_file go together: one of them is missing")
	}
	for _, size := range []struct {
		name  string
		value int64
	}{{"max_body_bytes", c.MaxBodyBytes}, {"max_json_bytes", c.MaxJSONBytes}, {"max_uploads", int64(c.MaxUploads)}} {
		if size.value <= 0 {
			return fmt.Errorf("%s: %d is not positive", size.name, size.value)
		}
	}
	for _, limit := range []struct {
		name  string
		value time.Duration
	}{
		{"read_timeout", c.ReadTimeout}, {"write_timeout", c.WriteTimeout},
		{"event_timeout", c.EventTimeout}, {"shutdown_timeout", c.ShutdownTimeout},
	} {
		if limit.value <= 0 {
			return fmt.Errorf("%s: %s is not positive", limit.name, limit.value)
		}
	}
	return nil
}

// KeysRequired says whether requests to a listener at address (host:port) must carry a key. It is the rule for every
// listener of the process, the OTLP receivers included; one that is switched off ("") asks for nothing.
func (c Config) KeysRequired(address string) bool {
	switch {
	case address == "":
		return false
	case isLoopback(address):
		return c.RequireKeys
	}
	return !c.AllowAnonymous
}

// isLoopback reports whether a listener at address (host:port) can be reached from this machine only.
func isLoopback(address string) bool {
	host := hostname(address)
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// hostname is the lower-case host of "host", "host:port" or "[v6]:port", without brackets or a trailing dot.
func hostname(hostport string) string {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
