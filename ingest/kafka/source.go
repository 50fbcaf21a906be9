package kafka

import (
	"context"
	"log/slog"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Source reads topics, an [engine.Source].
type Source struct {
	cfg       Config
	client    *client
	letters   *letters
	groups    []*group
	flight    *flight
	metrics   *metrics
	condition *condition
	log       *slog.Logger

	running  sync.WaitGroup
	closing  context.Context // ends with Close
	close    context.CancelFunc
	teardown sync.Once
}

var _ engine.Source = (*Source)(nil)

// New makes a source. It fails on a configuration that makes no sense or names no broker, and on files that cannot be read. Nothing
// is connected before Run. Close must be called in the end.
func New(cfg Config, mapper Mapper, log *slog.Logger, reg prometheus.Registerer) (*Source, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if !cfg.Enabled() {
		return nil, engine.Errorf(engine.CodeInvalid, "kafka: brokers: name at least one")
	}
	topics := make([]Topic, len(cfg.Topics))
	for i, t := range cfg.Topics {
		topics[i] = t.withDefaults()
	}
	cfg.Topics = topics
	s := &Source{cfg: cfg, condition: newCondition(), log: log.With("component", "ingest/kafka")}
	s.closing, s.close = context.WithCancel(context.Background())
	var err error
	if s.client, err = newClient(cfg); err != nil {
		return nil, err
	}
	s.letters = newLetters(s.client)
	for _, t := range topics {
		g := s.group(t.Group)
		g.topics[t.Name] = &topic{t, decoder{mapper, t.Encoding, t.Signal, cfg.MaxMessageBytes}}
	}
	if s.metrics, err = newMetrics(reg, topics, s); err != nil {
		return nil, err
	}
	s.flight = newFlight(cfg.MaxInFlightMessages, cfg.MaxInFlightBytes, s.metrics.inFlight, s.metrics.bytes)
	if cfg.SASL.Mechanism == MechanismPlain && !cfg.TLS.Enabled {
		s.log.Warn("the password is sent in the clear: sasl plain without tls")
	}
	return s, nil
}

// group returns the group with a name, which is made when there is none yet.
func (s *Source) group(name string) *group {
	for _, g := range s.groups {
		if g.name == name {
			return g
		}
	}
	g := &group{source: s, name: name, topics: map[string]*topic{}, commit: s.cfg.CommitInterval, log: s.log.With("group", name)}
	s.groups = append(s.groups, g)
	return g
}

// Run reads and hands over until ctx ends, through rebalances and outages of the brokers. When it returns, next has all that was
// taken from a partition, or it was given back to be read again; the membership and the commits go on until Close. A source runs
// once.
func (s *Source) Run(ctx context.Context, next engine.Sink) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(s.closing, stop)()
	var handing sync.WaitGroup
	for _, g := range s.groups {
		handing.Add(1)
		quiet := sync.OnceFunc(handing.Done)
		s.running.Go(func() { g.run(ctx, next, quiet) })
	}
	handing.Wait()
	return nil
}

// Close commits what is stored by now and leaves the groups. Called after the engine has drained, it leaves nothing behind that would
// be delivered again. It may be called twice, and without Run; Run ends with it.
func (s *Source) Close() error {
	var err error
	s.teardown.Do(func() {
		s.close()
		s.running.Wait()
		err = s.letters.close()
		s.client.close()
	})
	return err
}

// Degraded returns what does not work: a group that cannot be joined, a topic that does not exist, partitions that cannot be
// read, effects that cannot be stored, dead letters that cannot be written.
func (s *Source) Degraded() []engine.Degradation { return s.condition.report() }
