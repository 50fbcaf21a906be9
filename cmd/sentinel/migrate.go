package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/llm-sentinel/llm-sentinel/cmd/sentinel/app"
)

func newMigrate() *cobra.Command {
	var flags configFlags
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the schema of the store up to date",
		Long: `Makes or changes the tables of the store that the configuration chooses, and does nothing when they are up to date. 'serve' does the same
when it starts; run this before, with a role that may change tables, where the role of the service may not.`,
		Example: `  sentinel migrate --config sentinel.yaml`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd, flags, func(context.Context, app.Store) error {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), "the schema is up to date")
				return err
			})
		},
	}
	flags.register(cmd)
	return cmd
}
