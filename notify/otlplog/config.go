package otlplog

import (
	"errors"
	"fmt"
	"net"

	"github.com/llm-sentinel/llm-sentinel/notify"
)

// The protocols.
const (
	ProtocolHTTP = "http/protobuf"
	ProtocolGRPC = "grpc"
)

// Config is which OTLP receiver the records go to.
type Config struct {
	Protocol string         `yaml:"protocol"` // http/protobuf or grpc
	Endpoint string         `yaml:"endpoint"` // of HTTP the whole URL, such as https://collector:4318/v1/logs; of gRPC host:port
	Insecure bool           `yaml:"insecure"` // gRPC without TLS
	Headers  notify.Headers `yaml:"headers"`  // added to every request; of gRPC its metadata
	TLS      notify.TLS     `yaml:"tls"`
}

// DefaultConfig lacks an endpoint.
func DefaultConfig() Config { return Config{Protocol: ProtocolHTTP} }

// Validate reports every setting that cannot work.
func (c Config) Validate() error {
	var errs []error
	switch c.Protocol {
	case ProtocolHTTP:
		if err := notify.CheckURL(c.Endpoint); err != nil {
			errs = append(errs, fmt.Errorf("endpoint: %w", err))
		}
		if c.Insecure {
			errs = append(errs, errors.New("insecure: is of gRPC; the URL says whether HTTP is encrypted"))
		}
	case ProtocolGRPC:
		if _, _, err := net.SplitHostPort(c.Endpoint); err != nil {
			errs = append(errs, errors.New("endpoint: must be host:port"))
		}
	default:
		errs = append(errs, fmt.Errorf("protocol: %q is none of http/protobuf, grpc", c.Protocol))
	}
	if err := c.Headers.Validate("Content-Type", "Content-Encoding"); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
