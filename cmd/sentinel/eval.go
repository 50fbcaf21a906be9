package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/llm-sentinel/llm-sentinel/cmd/sentinel/app"
	"github.com/llm-sentinel/llm-sentinel/evals"
	"github.com/llm-sentinel/llm-sentinel/evals/report"
)

// evalFlags are what measuring and fitting have in common.
type evalFlags struct {
	config  configFlags
	data    string
	out     string
	custom  []string
	strict  bool
	seed    uint64
	days    int
	notes   int
	verbose bool
}

func (f *evalFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.config.file, "config", "c", "", "configuration file (default: the embedded one, see 'sentinel config print')")
	cmd.Flags().StringVar(&f.data, "data", "", "folder with the labelled data")
	cmd.Flags().StringArrayVar(&f.custom, "suite", nil, "file with a suite of your own (may be repeated)")
	cmd.Flags().BoolVar(&f.strict, "strict", false, "fail on a malformed line instead of leaving it out")
	cmd.Flags().Uint64Var(&f.seed, "seed", 1, "of all randomness")
	cmd.Flags().IntVar(&f.days, "days", 0, "simulated days of the scenarios, 0 for the suite's default")
	cmd.Flags().IntVar(&f.notes, "notes", 0, "notes that a language model writes, 0 for one for each incident of these days")
	cmd.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "show what the parts log")
}

func newEval() *cobra.Command {
	var (
		flags                    evalFlags
		model, compare           string
		resume, asJSON, markdown bool
	)
	cmd := &cobra.Command{
		Use:   "eval [SUITE...]",
		Short: "Run offline suites against labelled data",
		Long: `Runs offline suites through the code that serves, and writes report.json, report.html and junit.xml. Without names all suites run, except
that only your own do when --suite is given.

The suites are timeseries, prompts, groundedness, relevance, agent-runs, topics, traces, scenarios, explanations, retrieval and embedding.

Without --model what must be learnt is cross-validated inside the data; with it nothing is learnt from the data. The exit code is 3 when
a figure fell beyond the interval of --compare, or is worse than a suite of yours requires.`,
		Example: `  sentinel eval --data dev --out report
  sentinel eval prompts timeseries --data dev --out report --compare main/report.json
  sentinel eval fit --data dev --out model.gz && sentinel eval --model model.gz --data test --out report
  sentinel eval --suite mysuite.yaml --out report`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, names []string) error {
			b, err := flags.bench(cmd, names)
			if err != nil {
				return err
			}
			defer b.close()
			old, err := b.older(compare, flags.out)
			if err != nil {
				return err
			}
			if model != "" {
				if b.options.Model, err = evals.LoadModel(model); err != nil {
					return err
				}
				for _, name := range b.asked {
					if _, ok := b.options.Model.Suites[name]; !ok {
						return fmt.Errorf("%s was fitted without the suite %s", model, name)
					}
				}
			}
			if err := writable(filepath.Join(flags.out, report.JSON)); err != nil {
				return err
			}
			steps := evals.NewSteps(filepath.Join(flags.out, ".steps"))
			if !resume {
				if err := steps.Clear(); err != nil {
					return err
				}
			}
			b.options.Steps = filepath.Join(flags.out, ".steps", b.settings())
			r, err := evals.Run(cmd.Context(), b.suites, b.options)
			if cmd.Context().Err() != nil {
				return errors.New("interrupted; --resume goes on with the step that was under way")
			}
			if err != nil {
				return err
			}
			falls := report.Compare(old, r)
			if err := errors.Join(report.Write(flags.out, r, falls), steps.Clear()); err != nil {
				return err
			}
			if err := printReport(cmd.OutOrStdout(), flags.out, r, asJSON, markdown); err != nil {
				return err
			}
			for _, f := range falls {
				if !f.Fails() {
					fmt.Fprintln(cmd.ErrOrStderr(), "sentinel:", f)
				}
			}
			if failures := report.Failures(r, falls); len(failures) > 0 {
				return exitError{exitSeverity, strings.Join(failures, "\n")}
			}
			return nil
		},
	}
	flags.register(cmd)
	cmd.Flags().StringVar(&flags.out, "out", "sentinel-eval", "folder for the reports")
	cmd.Flags().StringVar(&model, "model", "", "score with what 'eval fit' froze, and learn nothing")
	cmd.Flags().StringVar(&compare, "compare", "", "report.json of an earlier run")
	cmd.Flags().BoolVar(&resume, "resume", false, "go on where a run with the same data and settings was interrupted")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print report.json")
	cmd.Flags().BoolVar(&markdown, "markdown", false, "print the table as Markdown")
	cmd.MarkFlagsMutuallyExclusive("json", "markdown")
	cmd.AddCommand(newFit())
	return cmd
}

func newFit() *cobra.Command {
	var flags evalFlags
	cmd := &cobra.Command{
		Use:     "fit [SUITE...]",
		Short:   "Freeze what suites learn from labelled data",
		Long:    `Learns thresholds, weights and memories from the data and writes them to one file, for 'sentinel eval --model'.`,
		Example: `  sentinel eval fit --data dev --out model.gz`,
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, names []string) error {
			b, err := flags.bench(cmd, names)
			if err != nil {
				return err
			}
			defer b.close()
			if err := writable(flags.out); err != nil {
				return err
			}
			m, malformed, err := evals.Fit(cmd.Context(), b.suites, b.options)
			if err != nil {
				return err
			}
			lines := 0
			for _, n := range malformed {
				lines += n
			}
			if err := m.Save(flags.out); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s holds %s; %d malformed lines left out\n",
				flags.out, strings.Join(slices.Sorted(maps.Keys(m.Suites)), ", "), lines)
			return nil
		},
	}
	flags.register(cmd)
	cmd.Flags().StringVar(&flags.out, "out", "sentinel-eval.model.gz", "file for the model")
	return cmd
}

// bench is what a run of suites needs.
type bench struct {
	suites  []evals.Suite
	asked   []string // suites that the user named: a model must hold them
	options evals.Options
	config  []byte // effective, as YAML
	close   func()
}

// settings names what steps depend on beside the data and the suite's own part in it: a run with others resumes none of them.
func (b *bench) settings() string {
	frozen := ""
	if b.options.Model != nil {
		frozen = b.options.Model.Sum
	}
	return evals.Digest([]string{b.options.Version, string(b.config), frozen})
}

// older reads the report to compare with, as far as it is about suites that run now; the zero report for no path. One that the run would
// replace is refused: the same command would pass the second time.
func (b *bench) older(path, out string) (evals.Report, error) {
	if path == "" {
		return evals.Report{}, nil
	}
	if old, err := os.Stat(path); err == nil {
		if now, err := os.Stat(filepath.Join(out, report.JSON)); err == nil && os.SameFile(old, now) {
			return evals.Report{}, fmt.Errorf("--compare: %s would be replaced by this run: choose another --out", path)
		}
	}
	old, err := report.Read(path)
	if err != nil {
		return old, err
	}
	maps.DeleteFunc(old.Suites, func(suite string, _ map[string]evals.Metric) bool { return !slices.Contains(b.names(), suite) })
	if len(old.Suites) == 0 {
		return old, fmt.Errorf("--compare: %s has none of the suites %s", path, strings.Join(b.names(), ", "))
	}
	return old, nil
}

// writable says before all the work whether its outcome can be written.
func writable(path string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return fmt.Errorf("--out: %s is a folder", path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".writable-")
	if err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

func (b *bench) names() []string {
	var out []string
	for _, s := range b.suites {
		out = append(out, s.Name())
	}
	return out
}

// bench chooses the suites and prepares their run.
func (f *evalFlags) bench(cmd *cobra.Command, names []string) (_ *bench, err error) {
	cfg, err := f.config.load()
	if err != nil {
		return nil, err
	}
	level := slog.LevelError
	if f.verbose {
		level = slog.LevelInfo
	}
	stderr := cmd.ErrOrStderr()
	log := slog.New(untilDone{slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}), cmd.Context()})
	folder, err := os.MkdirTemp("", "sentinel-eval-")
	if err != nil {
		return nil, err
	}
	b := &bench{close: func() { _ = os.RemoveAll(folder) }}
	if b.config, err = cfg.YAML(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	if err := b.choose(cmd.Context(), cfg, names, f.custom, app.SuiteOptions{Days: f.days, Notes: f.notes, Folder: folder, Logger: log}); err != nil {
		return nil, err
	}
	if err := f.checkData(len(b.suites) > len(f.custom)); err != nil {
		return nil, err
	}
	b.options = evals.Options{
		Data: f.data, Seed: f.seed, Strict: f.strict, Version: cmd.Root().Version, Progress: progress(stderr),
		Log: slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	return b, nil
}

// untilDone logs nothing any more once ctx has ended: what parts then say is only that they were interrupted.
type untilDone struct {
	slog.Handler
	ctx context.Context
}

// Enabled implements slog.Handler.
func (h untilDone) Enabled(ctx context.Context, level slog.Level) bool {
	return h.ctx.Err() == nil && h.Handler.Enabled(ctx, level)
}

// WithAttrs implements slog.Handler.
func (h untilDone) WithAttrs(attrs []slog.Attr) slog.Handler {
	return untilDone{h.Handler.WithAttrs(attrs), h.ctx}
}

// WithGroup implements slog.Handler.
func (h untilDone) WithGroup(name string) slog.Handler {
	return untilDone{h.Handler.WithGroup(name), h.ctx}
}

// checkData says at once what each suite would say.
func (f *evalFlags) checkData(needed bool) error {
	if f.data == "" && needed {
		return exitError{exitUsage, "--data is needed: the folder with the labelled data"}
	}
	if f.data == "" {
		return nil
	}
	info, err := os.Stat(f.data)
	if err != nil {
		return fmt.Errorf("--data: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("--data: %s is not a folder", f.data)
	}
	return nil
}

func (b *bench) choose(ctx context.Context, cfg app.Config, names, files []string, opt app.SuiteOptions) error {
	all, release, err := app.Suites(ctx, cfg, opt)
	removeFolder := b.close
	b.close = func() { release(); removeFolder() }
	if err != nil {
		return err
	}
	var known []string
	for _, s := range all {
		known = append(known, s.Name())
		if slices.Contains(names, s.Name()) || len(names)+len(files) == 0 {
			b.suites = append(b.suites, s)
		}
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return exitError{exitUsage, fmt.Sprintf("there is no suite %q: want %s", name, strings.Join(known, ", "))}
		}
	}
	b.asked = names
	for _, file := range files {
		s, err := app.CustomSuite(file, cfg, opt)
		if err != nil {
			return err
		}
		if slices.Contains(known, s.Name()) {
			return fmt.Errorf("%s: the name %q is taken", file, s.Name())
		}
		known = append(known, s.Name())
		b.suites, b.asked = append(b.suites, s), append(b.asked, s.Name())
	}
	return nil
}

// progress tells how far a long run is, on a terminal in one line, elsewhere now and then.
func progress(w io.Writer) func(suite string, done, total int, step string) {
	terminal, begun, shown := isTerminal(w), time.Now(), time.Time{}
	return func(suite string, done, total int, step string) {
		line := fmt.Sprintf("%s: %d of %d, %s", suite, done, total, step)
		switch {
		case terminal:
			fmt.Fprintf(w, "\r\x1b[K%.100s", line)
			if done == total {
				fmt.Fprint(w, "\r\x1b[K")
			}
		case time.Since(shown) > 10*time.Second && time.Since(begun) > 10*time.Second:
			shown = time.Now()
			fmt.Fprintln(w, line)
		}
	}
}

func printReport(w io.Writer, dir string, r evals.Report, asJSON, markdown bool) error {
	switch {
	case asJSON:
		data, err := os.ReadFile(filepath.Join(dir, report.JSON))
		if err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	case markdown:
		return report.Markdown(w, r)
	}
	if err := report.Print(w, r); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s shows the curves.\n", filepath.Join(dir, "report.html"))
	return err
}
