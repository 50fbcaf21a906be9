// Command sentinel is LLM-Sentinel: a self-hosted semantic anomaly engine for applications built on language models.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // names of time zones, wherever the binary runs

	"github.com/spf13/cobra"

	"github.com/llm-sentinel/llm-sentinel/cmd/sentinel/app"
)

// version is set at link time.
var version string

func main() { os.Exit(Main()) }

// Main runs the command line and returns the exit code: 0, 1 for an error, 2 for wrong usage, 3 for --fail-on.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := newRoot().ExecuteContext(ctx)
	var exit exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		if exit.message != "" {
			fmt.Fprintln(os.Stderr, "sentinel:", exit.message)
		}
		return exit.code
	}
	fmt.Fprintln(os.Stderr, "sentinel:", err)
	return 1
}

// exitError ends the program with a code of its own.
type exitError struct {
	code    int
	message string
}

func (e exitError) Error() string { return e.message }

const (
	exitUsage    = 2
	exitSeverity = 3
)

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "sentinel",
		Short: "Semantic anomaly engine for LLM applications",
		Long: `LLM-Sentinel takes in OpenTelemetry traces of LLM applications, finds what is unlike what is normal, and explains it.

One binary; all state is under one data directory; nothing else is needed.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       app.BuildVersion(version),
	}
	root.SetFlagErrorFunc(wrongUsage)
	root.AddCommand(newServe(), newDemo(), newScore(), newEval(), newIncidents(), newFeedback(), newKeys(), newConfig(), newMigrate(), newNotify(), &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		Run:   func(cmd *cobra.Command, _ []string) { fmt.Fprintln(cmd.OutOrStdout(), root.Version) },
	})
	checkUsage(root)
	return root
}

func wrongUsage(cmd *cobra.Command, err error) error {
	return exitError{exitUsage, fmt.Sprintf("%s\nTry '%s --help'.", err, cmd.CommandPath())}
}

// checkUsage makes wrong arguments wrong usage, in a command and all below it. Those that only group others show their help.
func checkUsage(c *cobra.Command) {
	if !c.Runnable() {
		c.Args = cobra.NoArgs
		c.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	args := c.Args
	c.Args = func(cmd *cobra.Command, given []string) error {
		if err := args(cmd, given); err != nil {
			return wrongUsage(cmd, err)
		}
		return nil
	}
	for _, sub := range c.Commands() {
		checkUsage(sub)
	}
}

// configFlags are the flags of every command that reads the configuration.
type configFlags struct {
	file    string
	dataDir string
}

func (f *configFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.file, "config", "c", "", "configuration file (default: the embedded one, see 'sentinel config print')")
	cmd.Flags().StringVar(&f.dataDir, "data-dir", "", "directory that holds all state (default: data_dir of the configuration)")
}

func (f *configFlags) load() (app.Config, error) {
	cfg, err := app.DefaultConfig()
	if f.file != "" {
		cfg, err = app.Load(f.file)
	}
	if err != nil {
		return app.Config{}, err
	}
	if f.dataDir != "" {
		cfg.DataDir = f.dataDir
	}
	return cfg, nil
}
