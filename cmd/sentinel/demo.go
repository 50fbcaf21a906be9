package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/llm-sentinel/llm-sentinel/cmd/sentinel/app"
	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/evals/scenario"
	"github.com/llm-sentinel/llm-sentinel/evals/scenarios"
)

func newDemo() *cobra.Command {
	var (
		flags   configFlags
		d       demo
		seed    uint64
		control bool
	)
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Serve, play traffic with incidents in it, and print each incident's note",
		Long: `Serves with the embedded defaults and plays a day of a company assistant's traffic into the OTLP port in accelerated time, with
six incidents mixed in and some decoys. Each incident's note is printed as it is found; at the end comes what was found, missed
and false. API and page stay up until interrupted. No network and no key is needed.`,
		Example: `  sentinel demo
  sentinel demo --once --json --seed 7   # the last line is the outcome as JSON
  sentinel demo --control                # the same traffic without incidents`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := flags.load()
			if err != nil {
				return err
			}
			if flags.dataDir == "" {
				if cfg.DataDir, err = os.MkdirTemp("", "sentinel-demo-"); err != nil {
					return err
				}
				defer func() { _ = os.RemoveAll(cfg.DataDir) }()
			}
			if d.once {
				// Nobody will open the page: any free port will do.
				cfg.API.Listen, cfg.OTLP.GRPC, cfg.OTLP.HTTP = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
			}
			cfg.Log.Level = max(cfg.Log.Level, 4) // warnings: what is found is printed by the demo itself
			traffic := scenario.DefaultConfig()
			traffic.Seed, traffic.Control = seed, control
			traffic.Start = lastEvening(time.Now())
			d.out, d.progress = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return d.run(cmd.Context(), cfg, traffic, cmd.Root().Version)
		},
	}
	flags.register(cmd)
	cmd.Flags().BoolVar(&d.once, "once", false, "end when the traffic has been played")
	cmd.Flags().BoolVar(&d.json, "json", false, "print incidents as lines of JSON, the outcome last")
	cmd.Flags().Uint64Var(&seed, "seed", 1, "changes services, volumes, times and texts")
	cmd.Flags().BoolVar(&control, "control", false, "leave the incidents out")
	cmd.Flags().DurationVar(&d.play, "play", 75*time.Second, "how long to play the day, at least")
	return cmd
}

// lastEvening is the latest time of day at which the scenario begins by default, a day and more ago, so that all of it is past.
func lastEvening(now time.Time) time.Time {
	usual := scenario.DefaultConfig()
	start := now.UTC().Truncate(24 * time.Hour).Add(time.Duration(usual.Start.Hour()) * time.Hour)
	for start.Add(usual.Duration + time.Hour).After(now) {
		start = start.Add(-24 * time.Hour)
	}
	return start
}

// demo is one run of the demonstration.
type demo struct {
	once, json bool
	play       time.Duration
	out        io.Writer
	progress   io.Writer

	mu     sync.Mutex
	client http.Client
}

func (d *demo) run(ctx context.Context, cfg app.Config, traffic scenario.Config, version string) error {
	s, err := scenario.New(traffic)
	if err != nil {
		return err
	}
	// A day in a minute needs room: nothing of it is to be shed.
	cfg.Engine.SemanticQueue = 1 << 16
	a, err := app.New(ctx, cfg, app.Options{Version: version, Logger: app.NewLogger(cfg.Log, d.progress), Observe: d.observe})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.Run(ctx) })
	group.Go(func() error {
		defer func() {
			if d.once {
				stop()
			}
		}()
		return d.perform(ctx, a, s, traffic)
	})
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// perform plays the traffic and prints the outcome.
func (d *demo) perform(ctx context.Context, a *app.App, s *scenario.Scenario, traffic scenario.Config) error {
	addrs, err := a.Addrs(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(d.progress, "Page and API on http://%s. Playing a day of traffic in %s; the first incidents come after a third of it.\n", addrs.API, d.play)
	p := player{api: "http://" + addrs.API, otlp: "http://" + addrs.HTTP, client: &d.client}
	begun, shown := time.Now(), time.Now()
	for {
		step, more := s.Next()
		if !more {
			break
		}
		part := float64(step.At.Sub(traffic.Start)) / float64(traffic.Duration)
		if err := pause(ctx, time.Until(begun.Add(time.Duration(part*float64(d.play))))); err != nil {
			return err
		}
		for a.Waiting() > mostWaiting {
			if err := pause(ctx, time.Millisecond); err != nil {
				return err
			}
		}
		if err := p.send(ctx, step); err != nil {
			return err
		}
		if time.Since(shown) > 5*time.Second {
			shown = time.Now()
			fmt.Fprintf(d.progress, "%s  %3.0f %%, %d spans sent\n", step.At.Format("Mon 15:04"), 100*part, p.spans)
		}
	}
	// The last windows close as the clock goes on; the incidents ended long before, so that only queues are waited for.
	for !a.Idle() {
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	found, err := d.incidents(ctx, p.api)
	if err != nil {
		return err
	}
	d.conclude(s.Truth(), found)
	if !d.once {
		fmt.Fprintf(d.progress, "Page and API stay on http://%s. Interrupt to end.\n", addrs.API)
	}
	return nil
}

// mostWaiting bounds how far the semantic tier may be behind the traffic that is played, in traces: a slow machine plays slower.
const mostWaiting = 32

func pause(ctx context.Context, wait time.Duration) error {
	if wait <= 0 {
		return ctx.Err()
	}
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// observe prints an incident when its note is there.
func (d *demo) observe(alert engine.Alert) {
	in := alert.Incident
	if alert.Change != engine.ChangeExplained || in.Explanation == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.json {
		_ = json.NewEncoder(d.out).Encode(in) // a pipe that was closed ends the demonstration by its signal
		return
	}
	fmt.Fprintf(d.out, "\n%s\n[%s] %s\n%s\n\n%s\n", strings.Repeat("=", 100), strings.ToUpper(string(in.Severity)), in.Title, in.ID, in.Explanation.Note)
}

// conclude prints what was found, missed and false; the outcome as JSON is the last line.
func (d *demo) conclude(truths []scenario.Truth, incidents []engine.Incident) {
	var found []scenario.Found
	for _, in := range incidents {
		found = append(found, scenarios.Found(in))
	}
	outcome := scenario.Match(truths, found, scenarios.MatchSlack)
	d.mu.Lock()
	defer d.mu.Unlock()
	out := d.out
	if d.json {
		out = d.progress
	}
	fmt.Fprintf(out, "\n%s\n", strings.Repeat("=", 100))
	for _, pair := range outcome.Matches {
		verdict := "found, cause right:"
		if pair.Found.CauseKind != pair.Truth.Cause.Kind || pair.Found.CauseSubject != pair.Truth.Cause.Subject {
			verdict = "found, cause wrong:"
		}
		fmt.Fprintf(out, "%-20s %s of %s, %s (%s)\n", verdict, pair.Truth.Type, pair.Truth.Subject, interval(pair.Truth.Onset, pair.Truth.End), pair.Found.ID)
	}
	for _, t := range outcome.Missed {
		fmt.Fprintf(out, "%-20s %s of %s, %s\n", "missed:", t.Type, t.Subject, interval(t.Onset, t.End))
	}
	for _, f := range outcome.FalseOnes {
		fmt.Fprintf(out, "%-20s %s of %s, %s (%s)\n", "false:", f.Type, f.Subject, interval(f.Start, f.End), f.ID)
	}
	fmt.Fprintln(d.out, outcome.Summary())
}

func interval(from, to time.Time) string {
	return from.Format("Mon 15:04") + " to " + to.Format("15:04")
}

// incidents reads what the API lists, with the notes.
func (d *demo) incidents(ctx context.Context, base string) ([]engine.Incident, error) {
	c := client{base: base, http: &d.client}
	var out []engine.Incident
	for cursor := ""; ; {
		page, err := c.incidents(ctx, cursor)
		if err != nil {
			return nil, err
		}
		for _, in := range page.Items {
			whole, err := c.incident(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			out = append(out, whole)
		}
		if cursor = page.Next; cursor == "" {
			return out, nil
		}
	}
}

// player sends the steps of a scenario the way an application and its delivery pipeline would.
type player struct {
	api, otlp string
	client    *http.Client
	spans     int
}

func (p *player) send(ctx context.Context, step scenario.Step) error {
	if m := step.Marker; m != nil {
		body, err := json.Marshal(map[string]any{
			"timestamp": m.At, "kind": m.Kind, "service": m.Service, "version": m.Version, "previous": m.Previous, "description": m.Description,
		})
		if err != nil {
			return err
		}
		return p.post(ctx, p.api+"/api/v1/events/deployments", "application/json", body)
	}
	if step.Traces.SpanCount() > 0 {
		body, err := marshalTraces(step.Traces)
		if err != nil {
			return err
		}
		if err := p.post(ctx, p.otlp+"/v1/traces", "application/x-protobuf", body); err != nil {
			return err
		}
		p.spans += step.Traces.SpanCount()
	}
	if step.Logs.LogRecordCount() > 0 {
		body, err := marshalLogs(step.Logs)
		if err != nil {
			return err
		}
		return p.post(ctx, p.otlp+"/v1/logs", "application/x-protobuf", body)
	}
	return nil
}

// post sends a body, and again while the receiver asks to come back.
func (p *player) post(ctx context.Context, url, contentType string, body []byte) error {
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", contentType)
		resp, err := p.client.Do(req)
		if err != nil {
			return err
		}
		answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
		_ = resp.Body.Close() // it was only read
		switch {
		case err != nil:
			return err
		case resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable:
			if err := pause(ctx, 20*time.Millisecond); err != nil {
				return err
			}
		case resp.StatusCode >= 300:
			return fmt.Errorf("%s answered %s: %.300s", url, resp.Status, answer)
		default:
			return nil
		}
	}
}
