package main

import (
	"fmt"

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

	verify := &cobra.Command{
		Use:     "verify FILE",
		Short:   "Check a configuration file",
		Example: `  sentinel config verify sentinel.yaml`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := app.Load(args[0]); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is valid\n", args[0])
			return nil
		},
	}
	cmd.AddCommand(show, verify)
	return cmd
}
