package kafka

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

func TestDefaultConfigIsOff(t *testing.T) {
	cfg := DefaultConfig()
	require.NoError(t, cfg.Validate())
	require.False(t, cfg.Enabled())
	require.Equal(t, []Topic{{Name: "llm.telemetry", Group: "sentinel-anomaly", Encoding: "auto", Signal: "auto", Start: "earliest", DeadLetter: "llm.telemetry.dlq"}}, cfg.Topics)
	_, err := New(cfg, nil, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	require.ErrorContains(t, err, "name at least one")
}

// A topic in a file needs its name only.
func TestTopicsFromYAML(t *testing.T) {
	cfg := DefaultConfig()
	require.NoError(t, yaml.UnmarshalWithOptions([]byte(`
brokers: [a:9092]
topics:
  - name: llm.telemetry.edge
  - name: telemetry-stream
    group: other
    encoding: otlp_json
    signal: logs
    start: latest
    dead_letter: lost
commit_interval: 5s
`), &cfg, yaml.Strict()))
	require.NoError(t, cfg.Validate())
	require.Equal(t, DefaultGroup, cfg.Topics[0].withDefaults().Group)
	require.Equal(t, "llm.telemetry.edge.dlq", cfg.Topics[0].withDefaults().DeadLetter)
	require.Equal(t, Topic{"telemetry-stream", "other", EncodingJSON, SignalLogs, StartLatest, "lost"}, cfg.Topics[1].withDefaults())
	require.Equal(t, 5*time.Second, cfg.CommitInterval)
}

func TestValidate(t *testing.T) {
	for want, change := range map[string]func(*Config){
		`broker "a": want host:port`:                                     func(c *Config) { c.Brokers = []string{"a"} },
		"topics: name at least one":                                      func(c *Config) { c.Topics = nil },
		"topic llm.telemetry is listed twice":                            func(c *Config) { c.Topics = append(c.Topics, c.Topics[0]) },
		`topic "a b": want`:                                              func(c *Config) { c.Topics[0].Name = "a b" },
		`dead_letter "/" is no name`:                                     func(c *Config) { c.Topics[0].DeadLetter = "/" },
		"dead_letter x is read too":                                      func(c *Config) { c.Topics[0].DeadLetter = "x"; c.Topics = append(c.Topics, Topic{Name: "x"}) },
		`encoding "avro" is none of`:                                     func(c *Config) { c.Topics[0].Encoding = "avro" },
		`signal "metrics" is none of`:                                    func(c *Config) { c.Topics[0].Signal = "metrics" },
		"security events are JSON":                                       func(c *Config) { c.Topics[0].Signal, c.Topics[0].Encoding = SignalSecurity, EncodingProto },
		`start "middle" is none of`:                                      func(c *Config) { c.Topics[0].Start = "middle" },
		"max_message_bytes is 0":                                         func(c *Config) { c.MaxMessageBytes = 0 },
		"max_in_flight_messages is 0":                                    func(c *Config) { c.MaxInFlightMessages = 0 },
		"max_in_flight_bytes is 0":                                       func(c *Config) { c.MaxInFlightBytes = 0 },
		"commit_interval is 0s":                                          func(c *Config) { c.CommitInterval = 0 },
		"session_timeout is 1ms":                                         func(c *Config) { c.SessionTimeout = time.Millisecond },
		"tls: cert_file and key_file belong together":                    func(c *Config) { c.TLS = TLS{Enabled: true, CertFile: "x"} },
		"tls: enabled is false":                                          func(c *Config) { c.TLS = TLS{CAFile: "x"} },
		`sasl: mechanism "gssapi" is none of`:                            func(c *Config) { c.SASL.Mechanism = "gssapi" },
		"sasl: mechanism is none, and the other settings have no effect": func(c *Config) { c.SASL.Username = "u" },
		"sasl: username must be set":                                     func(c *Config) { c.SASL = SASL{Mechanism: MechanismPlain, Password: "p"} },
		"sasl: set one of password and password_file":                    func(c *Config) { c.SASL = SASL{Mechanism: MechanismPlain, Username: "u"} },
	} {
		cfg := DefaultConfig()
		cfg.Brokers = []string{"127.0.0.1:9092"}
		change(&cfg)
		err := cfg.Validate()
		require.Equal(t, engine.CodeInvalid, engine.ErrorCode(err), want)
		require.ErrorContains(t, err, want)
	}
}

// Files that cannot be used are told at the start and not at the first connection.
func TestFilesAreReadAtTheStart(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(empty, []byte("\n"), 0o600))
	for want, change := range map[string]func(*Config){
		"tls: ca_file: open /none":  func(c *Config) { c.TLS = TLS{Enabled: true, CAFile: "/none"} },
		"holds no certificate":      func(c *Config) { c.TLS = TLS{Enabled: true, CAFile: empty} },
		"tls: cert_file":            func(c *Config) { c.TLS = TLS{Enabled: true, CertFile: empty, KeyFile: empty} },
		"sasl: password_file: open": func(c *Config) { c.SASL = SASL{Mechanism: MechanismPlain, Username: "u", PasswordFile: "/none"} },
		"sasl: password_file /":     func(c *Config) { c.SASL = SASL{Mechanism: MechanismPlain, Username: "u", PasswordFile: empty} },
		"sasl: Error SASLprepping":  func(c *Config) { c.SASL = SASL{Mechanism: MechanismScramSHA256, Username: "u\u0000", Password: "p"} },
	} {
		cfg := DefaultConfig()
		cfg.Brokers = []string{"127.0.0.1:9092"}
		change(&cfg)
		_, err := New(cfg, nil, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		require.ErrorContains(t, err, want)
	}
}

func TestSecretIsNotShown(t *testing.T) {
	s := SASL{Mechanism: MechanismPlain, Username: "u", Password: "hunter2"}
	asJSON, err := json.Marshal(s)
	require.NoError(t, err)
	asYAML, err := yaml.Marshal(s)
	require.NoError(t, err)
	for _, shown := range []string{string(asJSON), string(asYAML), fmt.Sprintf("%v %+v %#v", s, s, s)} {
		require.NotContains(t, shown, "hunter2")
		require.Contains(t, shown, "***")
	}
	require.Equal(t, "hunter2", s.Password.Reveal())
}
