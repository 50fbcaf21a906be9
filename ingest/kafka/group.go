package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// watchInterval is how often the topics of a group are looked at: for new partitions, and for how far their ends are.
const watchInterval = 5 * time.Second

// group is this process's membership in one consumer group.
type group struct {
	source *Source
	name   string
	topics map[string]*topic
	commit time.Duration // between commits
	log    *slog.Logger

	mu      sync.Mutex
	windows map[place]*window // of the partitions that this member had last
}

func (g *group) part() string { return "kafka group " + g.name }

func (g *group) missingPart(topic string) string { return "kafka topic " + topic }

// assigned returns the windows of the partitions that this member had last.
func (g *group) assigned() map[place]*window {
	g.mu.Lock()
	defer g.mu.Unlock()
	return maps.Clone(g.windows)
}

// run is a member of the group until ctx ends, and from then on keeps its partitions and commits for them until the source is
// closed. It calls quiet when it hands nothing over any more.
func (g *group) run(ctx context.Context, next engine.Sink, quiet func()) {
	defer quiet()
	wait := newBackoff()
	for ctx.Err() == nil {
		joined, err := g.session(ctx, next, quiet)
		if ctx.Err() != nil {
			return
		}
		if joined {
			wait.Reset()
		}
		if err == nil {
			continue // the topics have changed
		}
		if g.source.condition.failed(g.part(), err.Error()) {
			g.log.Warn("not in the group, trying again", "error", err)
		}
		sleep(ctx, wait.NextBackOff())
	}
}

// session joins the group with the topics that exist and works through its generations. It ends without an error when the topics
// have changed; joined says whether there was a generation.
func (g *group) session(ctx context.Context, next engine.Sink, quiet func()) (joined bool, err error) {
	counts, err := g.existing(ctx)
	if err != nil {
		return false, err
	}
	members, err := kafkago.NewConsumerGroup(kafkago.ConsumerGroupConfig{
		ID: g.name, Brokers: g.source.client.brokers, Dialer: g.source.client.dialer,
		// A topic that does not exist would keep the others from being assigned.
		Topics:            slices.Sorted(maps.Keys(counts)),
		StartOffset:       kafkago.FirstOffset, // stands for "nothing committed"; where to begin is the topic's to say
		SessionTimeout:    g.source.cfg.SessionTimeout,
		RebalanceTimeout:  g.source.cfg.SessionTimeout,
		HeartbeatInterval: min(3*time.Second, g.source.cfg.SessionTimeout/4),
		JoinGroupBackoff:  100 * time.Millisecond, // run waits longer
		Timeout:           requestTimeout,
		ErrorLogger:       kafkago.LoggerFunc(func(format string, args ...any) { g.log.Debug(fmt.Sprintf(format, args...)) }),
	})
	if err != nil {
		return false, fmt.Errorf("kafka: group %s: %w", g.name, err)
	}
	defer members.Close()
	for {
		generation, err := members.Next(ctx)
		switch {
		case errors.Is(err, kafkago.RebalanceInProgress):
			continue
		case err != nil:
			return joined, fmt.Errorf("kafka: join group %s: %w", g.name, err)
		}
		joined = true
		changed, err := g.serve(ctx, generation, counts, next, quiet)
		if changed || err != nil || ctx.Err() != nil {
			return joined, err
		}
	}
}

// existing returns the number of partitions of those topics of the group that exist. It fails when none does.
func (g *group) existing(ctx context.Context) (map[string]int, error) {
	names := slices.Sorted(maps.Keys(g.topics))
	counts, err := g.source.client.partitions(ctx, names)
	if err != nil {
		return nil, err
	}
	var missing []string
	for _, name := range names {
		if counts[name] > 0 {
			g.source.condition.worked(g.missingPart(name))
			continue
		}
		missing = append(missing, name)
		if g.source.condition.failed(g.missingPart(name), "the topic does not exist or may not be read") {
			g.log.Warn("topic does not exist or may not be read, waiting for it", "topic", name)
		}
	}
	if len(counts) == 0 {
		return nil, engine.Errorf(engine.CodeUnavailable, "kafka: group %s: no such topic: %s", g.name, strings.Join(missing, ", "))
	}
	return counts, nil
}

// serve works through one generation. changed says that the group must be joined anew because its topics have changed.
func (g *group) serve(ctx context.Context, generation *kafkago.Generation, counts map[string]int, next engine.Sink, quiet func()) (changed bool, err error) {
	done := make(chan struct{})
	generation.Start(func(alive context.Context) {
		defer close(done)
		changed, err = g.generation(ctx, alive, generation, counts, next, quiet)
	})
	<-done
	return changed, err
}

// generation reads the partitions that this member has until alive or ctx ends, and commits until alive ends or the source is closed.
func (g *group) generation(ctx, alive context.Context, generation *kafkago.Generation, counts map[string]int, next engine.Sink, quiet func()) (changed bool, err error) {
	reading, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(alive, stop)()
	g.source.metrics.generations.WithLabelValues(g.name).Inc()
	if err := g.assign(reading, generation); err != nil {
		if alive.Err() != nil {
			return false, nil // somebody joined meanwhile
		}
		return false, err
	}
	g.source.condition.worked(g.part())
	windows := g.assigned()
	g.log.Info("joined", "generation", generation.ID, "partitions", len(windows))

	var readers sync.WaitGroup
	for at, w := range windows {
		p := &partition{place: at, source: g.source, topic: g.topics[at.topic], window: w, next: next, log: g.log.With("topic", at.topic, "partition", at.partition)}
		readers.Go(func() { p.run(reading) })
	}
	news := make(chan struct{})
	readers.Go(func() {
		if g.watch(reading, windows, counts) {
			close(news)
		}
	})
	idle := make(chan struct{})
	go func() {
		readers.Wait()
		if ctx.Err() != nil {
			quiet()
		}
		close(idle)
	}()

	tick := time.NewTicker(g.commit)
	defer tick.Stop()
	for working := true; working; {
		select {
		case <-tick.C:
			g.commitStored(generation, windows)
		case <-news:
			changed, working = true, false
		case <-alive.Done():
			working = false
		case <-g.source.closing.Done():
			working = false
		}
	}
	stop()
	<-idle
	// While the group is being balanced the broker still takes commits of the generation that ends.
	g.commitStored(generation, windows)
	return changed, nil
}

// assign sets up the windows of the generation's partitions. Where nothing was committed, the start is committed at once: without,
// a partition that is read from its end would be begun at a later end after a rebalance.
func (g *group) assign(ctx context.Context, generation *kafkago.Generation) error {
	committed := map[place]int64{}
	for topic, assignments := range generation.Assignments {
		for _, a := range assignments {
			committed[place{topic, a.ID}] = a.Offset
		}
	}
	places := slices.Collect(maps.Keys(committed))
	var extents map[place]extent
	if len(places) > 0 {
		var err error
		if extents, err = g.source.client.extents(ctx, places); err != nil {
			return err
		}
	}
	known := g.assigned()
	windows := map[place]*window{}
	starts := map[string]map[int]int64{}
	for _, at := range places {
		x, offset := extents[at], committed[at]
		w := known[at]
		if w == nil || offset < 0 || !w.resume(offset) {
			start := g.start(at, offset, x)
			w = newWindow(start)
			if start != offset {
				if starts[at.topic] == nil {
					starts[at.topic] = map[int]int64{}
				}
				starts[at.topic][at.partition] = start
			}
		}
		w.extent(x)
		windows[at] = w
	}
	if err := generation.CommitOffsets(starts); err != nil {
		return fmt.Errorf("kafka: group %s: commit where to start: %w", g.name, err)
	}
	g.mu.Lock()
	g.windows = windows
	g.mu.Unlock()
	return nil
}

// start returns where to begin in a partition that this process has no window of.
func (g *group) start(at place, committed int64, x extent) int64 {
	log := g.log.With("topic", at.topic, "partition", at.partition, "committed", committed, "first", x.first, "end", x.end)
	switch {
	case committed < 0 && g.topics[at.topic].Start == StartLatest:
		return x.end
	case committed < 0:
		return x.first
	case committed < x.first:
		g.source.metrics.expired.WithLabelValues(at.topic).Add(float64(x.first - committed))
		log.Error("messages deleted by the broker before they were read", "messages", x.first-committed)
		return x.first
	case committed > x.end:
		log.Warn("committed offset is behind the end of the partition, which must be a new one: reading it from its start")
		return x.first
	}
	return committed
}

// watch looks at the topics until ctx ends, and returns true when there are other ones, or another number of partitions.
func (g *group) watch(ctx context.Context, windows map[place]*window, counts map[string]int) bool {
	places := slices.Collect(maps.Keys(windows))
	for sleep(ctx, watchInterval) {
		if now, err := g.existing(ctx); err == nil && !maps.Equal(now, counts) {
			g.log.Info("topics have changed, joining again")
			return true
		}
		if len(places) == 0 {
			continue
		}
		extents, err := g.source.client.extents(ctx, places)
		if err != nil && ctx.Err() == nil {
			g.log.Debug("ends of partitions not known", "error", err) // the heartbeat says whether the broker is there
		}
		for at, x := range extents {
			windows[at].extent(x)
			g.source.condition.worked(readPart(at)) // or it fails again
		}
	}
	return false
}

// commitStored commits what is stored. A commit that fails is part of the next one, or of the next generation's start.
func (g *group) commitStored(generation *kafkago.Generation, windows map[place]*window) {
	offsets := map[string]map[int]int64{}
	for at, w := range windows {
		if offset, ahead := w.position(); ahead {
			if offsets[at.topic] == nil {
				offsets[at.topic] = map[int]int64{}
			}
			offsets[at.topic][at.partition] = offset
		}
	}
	if len(offsets) == 0 {
		return
	}
	part := "kafka commit " + g.name
	if err := generation.CommitOffsets(offsets); err != nil {
		g.source.metrics.commits.WithLabelValues(g.name, outcomeFailed).Inc()
		if g.source.condition.failed(part, "offsets not committed: "+err.Error()) {
			g.log.Warn("offsets not committed", "generation", generation.ID, "error", err)
		}
		return
	}
	g.source.condition.worked(part)
	g.source.metrics.commits.WithLabelValues(g.name, outcomeOK).Inc()
	for topic, partitions := range offsets {
		for partition, offset := range partitions {
			windows[place{topic, partition}].commit(offset)
		}
	}
}
