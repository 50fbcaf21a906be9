package kafka_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/llm-sentinel/llm-sentinel/deploy/stack/stacktest"
	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/notify"
	sink "github.com/llm-sentinel/llm-sentinel/notify/kafka"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func notifier(t *testing.T, cfg sink.Config) *sink.Notifier {
	t.Helper()
	n, err := sink.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Close()) })
	return n
}

// deliver tries until the alert is delivered, as the dispatcher does: the first attempt may only make the topic.
func deliver(t *testing.T, n *sink.Notifier, a engine.Alert) {
	t.Helper()
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		err := n.Notify(ctx, a)
		if engine.IsPermanent(err) {
			t.Errorf("given up: %v", err)
		}
		return err == nil
	}, time.Minute, 50*time.Millisecond)
}

func read(t *testing.T, broker, topic string, n int) []kafka.Message {
	t.Helper()
	r := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{broker}, Topic: topic, MaxWait: 100 * time.Millisecond})
	defer func() { require.NoError(t, r.Close()) }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out []kafka.Message
	for range n {
		m, err := r.ReadMessage(ctx)
		require.NoError(t, err)
		out = append(out, m)
	}
	return out
}

func TestAlertsArriveInOrderUnderTheirFingerprint(t *testing.T) {
	broker := stacktest.Require(t, "SENTINEL_TEST_KAFKA")
	cfg := sink.DefaultConfig()
	cfg.Brokers, cfg.Topic = []string{broker}, fmt.Sprintf("notify-%d", time.Now().UnixNano())
	n := notifier(t, cfg)
	a := notify.Sample(time.Now())
	for _, change := range []string{engine.ChangeRaised, engine.ChangeExplained, engine.ChangeResolved} {
		a.ID, a.Change = a.Incident.ID+change, change
		deliver(t, n, a)
	}
	for i, m := range read(t, broker, cfg.Topic, 3) {
		var got notify.Message
		require.NoError(t, json.Unmarshal(m.Value, &got))
		require.Equal(t, []string{engine.ChangeRaised, engine.ChangeExplained, engine.ChangeResolved}[i], got.Change)
		require.Equal(t, got.Fingerprint, string(m.Key))
		require.Equal(t, []kafka.Header{
			{Key: "alert_id", Value: []byte(got.AlertID)}, {Key: "content-type", Value: []byte("application/json")},
		}, m.Headers)
	}
}

func TestSecureListener(t *testing.T) {
	broker := stacktest.Require(t, "SENTINEL_TEST_KAFKA_SECURE")
	ca := stacktest.Require(t, "SENTINEL_TEST_KAFKA_CA")
	topic := fmt.Sprintf("notify-secure-%d", time.Now().UnixNano())
	secure := func(mechanism, password string) sink.Config {
		return sink.Config{
			Brokers: []string{broker}, Topic: topic,
			TLS:  sink.TLS{Enabled: true, TLS: notify.TLS{CAFile: ca}},
			SASL: sink.SASL{Mechanism: mechanism, Username: "sentinel", Password: engine.Secret(password)},
		}
	}
	for _, mechanism := range []string{sink.MechanismPlain, sink.MechanismScramSHA256, sink.MechanismScramSHA512} {
		deliver(t, notifier(t, secure(mechanism, "sentinel-stack")), notify.Sample(time.Now()))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	err := notifier(t, secure(sink.MechanismScramSHA256, "wrong-password")).Notify(ctx, notify.Sample(time.Now()))
	require.Error(t, err)
	require.NotContains(t, err.Error(), "wrong-password")

	untrusting := secure(sink.MechanismPlain, "sentinel-stack")
	untrusting.TLS.CAFile = ""
	ctx, cancel = context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	require.ErrorContains(t, notifier(t, untrusting).Notify(ctx, notify.Sample(time.Now())), "certificate")
	require.Len(t, read(t, stacktest.Require(t, "SENTINEL_TEST_KAFKA"), topic, 3), 3)
}

func TestBrokerThatIsDownIsTriedAgain(t *testing.T) {
	cfg := sink.DefaultConfig()
	cfg.Brokers = []string{"127.0.0.1:1"}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	err := notifier(t, cfg).Notify(ctx, notify.Sample(time.Now()))
	require.Error(t, err)
	require.False(t, engine.IsPermanent(err))
}

func TestConfigIsChecked(t *testing.T) {
	for want, change := range map[string]func(*sink.Config){
		"brokers: is empty":                       func(c *sink.Config) { c.Brokers = nil },
		`brokers: "x" is not host:port`:           func(c *sink.Config) { c.Brokers = []string{"x"} },
		`topic: "a b" is no name of a topic`:      func(c *sink.Config) { c.Topic = "a b" },
		"sasl: plain sends the password as it is": func(c *sink.Config) { c.SASL = sink.SASL{"plain", "u", "p"} },
		"needs username and password":             func(c *sink.Config) { c.SASL.Mechanism = "scram-sha-256" },
		`sasl.mechanism: "gssapi" is none of`:     func(c *sink.Config) { c.SASL = sink.SASL{"gssapi", "u", "p"} },
		"and no mechanism":                        func(c *sink.Config) { c.SASL.Username = "u" },
		"tls.ca_file":                             func(c *sink.Config) { c.TLS = sink.TLS{Enabled: true, TLS: notify.TLS{CAFile: "none.pem"}} },
	} {
		cfg := sink.DefaultConfig()
		cfg.Brokers = []string{"127.0.0.1:9092"}
		change(&cfg)
		_, err := sink.New(cfg)
		require.ErrorContains(t, err, want)
	}
}
