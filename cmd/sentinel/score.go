package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/llm-sentinel/llm-sentinel/cmd/sentinel/app"
	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/ingest/genai"
	"github.com/llm-sentinel/llm-sentinel/ingest/replay"
)

func newScore() *cobra.Command {
	var (
		flags    configFlags
		baseline []string
		asJSON   bool
		failOn   string
	)
	cmd := &cobra.Command{
		Use:   "score [--baseline FILE] FILE...",
		Short: "Score the traces of OTLP files",
		Long: `Scores every trace of OTLP files: JSON lines, one JSON request, or protobuf, gzip or not; '-' is standard input. The traces of the
baseline are what is normal; without one the files are compared with themselves.

One line of JSON a trace, or a table on a terminal. A score above 1 is anomalous.`,
		Example: `  sentinel score --baseline last-week.otlp.jsonl.gz today.otlp.jsonl.gz
  cat traces.json | sentinel score --json -
  sentinel score --fail-on high --baseline good.jsonl candidate.jsonl   # exit code 3 when something is that severe`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			if failOn != "" && engine.Severity(failOn).Rank() < 0 {
				return exitError{exitUsage, fmt.Sprintf("--fail-on %q: want low, medium, high or critical", failOn)}
			}
			cfg, err := flags.load()
			if err != nil {
				return err
			}
			stderr := cmd.ErrOrStderr()
			spans, err := readSpans(cmd.Context(), cfg.Limits, files, stderr)
			if err != nil {
				return err
			}
			normal := spans
			if len(baseline) > 0 {
				if normal, err = readSpans(cmd.Context(), cfg.Limits, baseline, stderr); err != nil {
					return err
				}
			}
			verdicts, err := score(cmd.Context(), cfg, normal, spans, stderr)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if asJSON || !isTerminal(out) {
				err = printVerdictLines(out, verdicts)
			} else {
				err = printVerdictTable(out, verdicts)
			}
			if err != nil {
				return err
			}
			return failOnSeverity(verdicts, engine.Severity(failOn))
		},
	}
	flags.register(cmd)
	cmd.Flags().StringArrayVar(&baseline, "baseline", nil, "file with what is normal (may be repeated)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON on a terminal too")
	cmd.Flags().StringVar(&failOn, "fail-on", "", "exit with 3 when a trace is at least this severe: low, medium, high, critical")
	return cmd
}

// readSpans reads all spans of the files, with separate content joined to them. A bad line is told and left out.
func readSpans(ctx context.Context, limits genai.Limits, files []string, stderr io.Writer) ([]engine.Span, error) {
	mapper, err := genai.New(limits)
	if err != nil {
		return nil, err
	}
	var spans []engine.Span
	var contents []engine.Content
	for _, file := range files {
		r, err := replay.Open(file, replay.DefaultMaxRequestBytes)
		if err != nil {
			return nil, err
		}
		for {
			if ctx.Err() != nil {
				return nil, errors.Join(ctx.Err(), r.Close())
			}
			record, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			var bad *replay.RecordError
			if errors.As(err, &bad) {
				fmt.Fprintln(stderr, "sentinel: skipped:", bad)
				continue
			}
			if err != nil {
				return nil, errors.Join(err, r.Close())
			}
			now := time.Now()
			traces, logs := mapper.Spans(record.Traces, now), mapper.Logs(record.Logs, now)
			for _, rejected := range append(traces.Rejected, logs.Rejected...) {
				fmt.Fprintf(stderr, "sentinel: skipped: %s:%d: %v\n", file, record.Line, rejected)
			}
			spans = append(spans, traces.Spans...)
			contents = append(append(contents, traces.Contents...), logs.Contents...)
		}
		if err := r.Close(); err != nil {
			return nil, err
		}
	}
	if len(spans) == 0 {
		return nil, fmt.Errorf("no spans in %v", files)
	}
	return engine.Join(spans, contents), nil
}

// score learns what is normal and judges every trace, in the order in which traces first appear.
func score(ctx context.Context, cfg app.Config, normal, spans []engine.Span, stderr io.Writer) ([]engine.Verdict, error) {
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	o, err := app.NewOffline(ctx, app.OfflineConfig(cfg), nil, log)
	if err != nil {
		return nil, err
	}
	traces := engine.Traces(spans)
	err = o.Learn(ctx, normal)
	out := make([]engine.Verdict, 0, len(traces))
	for _, t := range traces {
		if err != nil {
			break
		}
		var v engine.Verdict
		if v, err = o.Score(ctx, t); err == nil {
			out = append(out, v)
		}
	}
	return out, errors.Join(err, o.Close())
}

func printVerdictLines(w io.Writer, verdicts []engine.Verdict) error {
	enc := json.NewEncoder(w)
	for _, v := range verdicts {
		if err := enc.Encode(v); err != nil {
			return err
		}
	}
	return nil
}

func printVerdictTable(w io.Writer, verdicts []engine.Verdict) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "TRACE\tSCORE\tSEVERITY\tTYPE\tREASON")
	for _, v := range verdicts {
		fmt.Fprintf(t, "%s\t%.2f\t%s\t%s\t%.100s\n", v.TraceID, v.Score, v.Severity, v.Type, v.Reason)
	}
	return t.Flush()
}

func failOnSeverity(verdicts []engine.Verdict, least engine.Severity) error {
	if least == "" {
		return nil
	}
	n := 0
	for _, v := range verdicts {
		if v.Anomalous && v.Severity.Rank() >= least.Rank() {
			n++
		}
	}
	if n > 0 {
		return exitError{exitSeverity, fmt.Sprintf("%d of %d traces are of severity %s or above", n, len(verdicts), least)}
	}
	return nil
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
