package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

const (
	dialTimeout    = 5 * time.Second
	requestTimeout = 5 * time.Second
	metadataTTL    = 3 * time.Second // after it a new topic or another leader is noticed
)

// client is how the brokers are reached: by the dialer for what is tied to a group or a partition, by the transport for the rest.
type client struct {
	brokers   []string
	dialer    *kafkago.Dialer
	transport *kafkago.Transport
	requests  *kafkago.Client
}

func newClient(cfg Config) (*client, error) {
	encryption, err := cfg.TLS.load()
	if err != nil {
		return nil, err
	}
	mechanism, err := cfg.SASL.load()
	if err != nil {
		return nil, err
	}
	c := &client{
		brokers:   cfg.Brokers,
		dialer:    &kafkago.Dialer{ClientID: cfg.ClientID, Timeout: dialTimeout, DualStack: true, TLS: encryption, SASLMechanism: mechanism},
		transport: &kafkago.Transport{ClientID: cfg.ClientID, DialTimeout: dialTimeout, MetadataTTL: metadataTTL, TLS: encryption, SASL: mechanism},
	}
	for _, t := range cfg.Topics {
		c.transport.MetadataTopics = append(c.transport.MetadataTopics, t.Name, t.DeadLetter)
	}
	c.requests = &kafkago.Client{Addr: kafkago.TCP(cfg.Brokers...), Timeout: requestTimeout, Transport: c.transport}
	return c, nil
}

func (c *client) close() { c.transport.CloseIdleConnections() }

// partitions returns how many partitions each of the topics has; one that does not exist is left out.
func (c *client) partitions(ctx context.Context, topics []string) (map[string]int, error) {
	res, err := c.requests.Metadata(ctx, &kafkago.MetadataRequest{Topics: topics})
	if err != nil {
		return nil, fmt.Errorf("kafka: look up topics: %w", err)
	}
	counts := map[string]int{}
	for _, t := range res.Topics {
		if t.Error == nil && len(t.Partitions) > 0 {
			counts[t.Name] = len(t.Partitions)
		}
	}
	return counts, nil
}

// extent is what a partition holds: offsets from first on and before end.
type extent struct{ first, end int64 }

// extents asks for the extents of partitions. One that cannot be told is left out, with the error beside the others.
func (c *client) extents(ctx context.Context, places []place) (map[place]extent, error) {
	topics := map[string][]kafkago.OffsetRequest{}
	for _, p := range places {
		topics[p.topic] = append(topics[p.topic], kafkago.FirstOffsetOf(p.partition), kafkago.LastOffsetOf(p.partition))
	}
	res, err := c.requests.ListOffsets(ctx, &kafkago.ListOffsetsRequest{Topics: topics})
	if err != nil {
		return nil, fmt.Errorf("kafka: look up offsets: %w", err)
	}
	out := map[place]extent{}
	for topic, partitions := range res.Topics {
		for _, p := range partitions {
			if p.Error != nil {
				err = fmt.Errorf("kafka: look up offsets of %s/%d: %w", topic, p.Partition, p.Error)
				continue
			}
			out[place{topic, p.Partition}] = extent{p.FirstOffset, p.LastOffset}
		}
	}
	return out, err
}

// load reads the files. It returns nil for plain text.
func (t TLS) load() (*tls.Config, error) {
	if !t.Enabled {
		return nil, nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("kafka: tls: ca_file: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, engine.Errorf(engine.CodeInvalid, "kafka: tls: ca_file %s holds no certificate", t.CAFile)
		}
	}
	if t.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("kafka: tls: cert_file %s: %w", t.CertFile, err)
		}
		cfg.Certificates = []tls.Certificate{cert}
	}
	return cfg, nil
}

// load reads the password. It returns nil without authentication.
func (s SASL) load() (sasl.Mechanism, error) {
	password := s.Password.Reveal()
	if s.PasswordFile != "" {
		text, err := os.ReadFile(s.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("kafka: sasl: password_file: %w", err)
		}
		if password = strings.TrimRight(string(text), "\r\n"); password == "" {
			return nil, engine.Errorf(engine.CodeInvalid, "kafka: sasl: password_file %s is empty", s.PasswordFile)
		}
	}
	var algorithm scram.Algorithm
	switch s.Mechanism {
	case MechanismPlain:
		return plain.Mechanism{Username: s.Username, Password: password}, nil
	case MechanismScramSHA256:
		algorithm = scram.SHA256
	case MechanismScramSHA512:
		algorithm = scram.SHA512
	default:
		return nil, nil
	}
	mechanism, err := scram.Mechanism(algorithm, s.Username, password)
	if err != nil {
		return nil, engine.Errorf(engine.CodeInvalid, "kafka: sasl: %w", err) // of the names alone
	}
	return mechanism, nil
}
