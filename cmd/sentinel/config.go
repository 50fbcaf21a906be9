package main

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/llm-sentinel/llm-sentinel/cmd/sentinel/app"
)

func newConfig() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Print or verify the configuration"}
	var printFlags configFlags
	var effective bool
	show := &cobra.Command{
		Use:   "print",
		Short: "Print the embedded configuration, to copy and edit, or the effective one",
		Example: `  sentinel config print > sentinel.yaml
  sentinel config print --effective --config sentinel.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !effective && printFlags.file == "" {
				_, err := cmd.OutOrStdout().Write(app.DefaultYAML)
				return err
			}
			cfg, err := printFlags.load()
			if err != nil {
				return err
			}
			out, err := cfg.YAML()
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(out)
			return err
		},
	}
	show.Flags().BoolVar(&effective, "effective", false, "print every setting as it is in force, secrets left out")
	printFlags.register(show)

	var offline bool
	verify := &cobra.Command{
		Use:   "verify FILE",
		Short: "Check a configuration file",
		Long: `Checks a configuration file: its settings, that each alert finds a receiver and each receiver an alert, and that the embedder and the
vector memory answer.`,
		Example: `  sentinel config verify sentinel.yaml
  sentinel config verify --offline sentinel.yaml`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := app.Load(args[0])
			if err != nil {
				return err
			}
			problems := cfg.Notify.Verify()
			for _, p := range problems {
				fmt.Fprintf(cmd.OutOrStdout(), "notify.%s\n", p)
			}
			if len(problems) > 0 {
				return fmt.Errorf("%s: alerts may not go where they should", args[0])
			}
			if !offline {
				log := app.NewLogger(app.LogConfig{Level: slog.LevelError, Format: "text"}, cmd.ErrOrStderr())
				if err := errors.Join(app.CheckEmbedder(cmd.Context(), cfg, log), app.CheckMemory(cmd.Context(), cfg)); err != nil {
					return fmt.Errorf("%s: %w", args[0], err)
				}
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is valid\n", args[0])
			return nil
		},
	}
	verify.Flags().BoolVar(&offline, "offline", false, "ask no server")
	cmd.AddCommand(show, verify)
	return cmd
}
