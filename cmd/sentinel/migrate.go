package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/llm-sentinel/llm-sentinel/cmd/sentinel/app"
)

func newMigrate() *cobra.Command {
	var flags configFlags
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the schemas of the store and the vector memory up to date",
		Long: `Makes or changes the tables of the store and of the vector memory that the configuration chooses, and does nothing when they are up to
date. 'serve' does the same when it starts; run this before, with a role that may change tables, where the role of the service may not.`,
		Example: `  sentinel migrate --config sentinel.yaml`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := flags.load()
			if err != nil {
				return err
			}
			if err := app.Migrate(cmd.Context(), cfg, app.NewLogger(cfg.Log, cmd.ErrOrStderr())); err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "the schemas are up to date")
			return err
		},
	}
	flags.register(cmd)
	return cmd
}
