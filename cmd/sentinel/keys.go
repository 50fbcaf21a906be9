package main

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/llm-sentinel/llm-sentinel/api"
	"github.com/llm-sentinel/llm-sentinel/cmd/sentinel/app"
	"github.com/llm-sentinel/llm-sentinel/engine"
)

func newKeys() *cobra.Command {
	var flags configFlags
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Make, list and revoke API keys",
		Long:  `API keys live in the store under the data directory; a running service sees a change within seconds.`,
	}
	create := &cobra.Command{
		Use:     "create NAME",
		Short:   "Make a key and print it; it cannot be shown again",
		Example: `  sentinel keys create collector --scope ingest`,
		Args:    cobra.ExactArgs(1),
	}
	scope := create.Flags().String("scope", engine.ScopeIngest, "what it allows: ingest, read or admin")
	create.RunE = func(cmd *cobra.Command, args []string) error {
		plain, key, err := api.NewKey(args[0], *scope)
		if err != nil {
			return err
		}
		return withStore(cmd, flags, func(ctx context.Context, s app.Store) error {
			if err := s.CreateKey(ctx, key); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), plain)
			return nil
		})
	}
	list := &cobra.Command{Use: "list", Short: "List keys", Args: cobra.NoArgs}
	asJSON := list.Flags().Bool("json", false, "print JSON")
	list.RunE = func(cmd *cobra.Command, _ []string) error {
		return withStore(cmd, flags, func(ctx context.Context, s app.Store) error {
			keys, err := s.Keys(ctx)
			if err != nil {
				return err
			}
			if *asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(keys)
			}
			t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(t, "ID\tNAME\tSCOPE\tCREATED\tLAST USED\tREVOKED")
			for _, k := range keys {
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Name, k.Scope, k.Created.Format(time.RFC3339), stamp(k.LastUsed), stamp(k.Revoked))
			}
			return t.Flush()
		})
	}
	revoke := &cobra.Command{
		Use:   "revoke ID",
		Short: "Make a key useless",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd, flags, func(ctx context.Context, s app.Store) error {
				return s.RevokeKey(ctx, args[0], time.Now().UTC())
			})
		},
	}
	for _, c := range []*cobra.Command{create, list, revoke} {
		flags.register(c)
		cmd.AddCommand(c)
	}
	return cmd
}

func stamp(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.Format(time.RFC3339)
}

// withStore opens the store of the configuration beside a service that may be running on it.
func withStore(cmd *cobra.Command, flags configFlags, do func(context.Context, app.Store) error) error {
	cfg, err := flags.load()
	if err != nil {
		return err
	}
	s, err := app.OpenStore(cmd.Context(), cfg, app.NewLogger(cfg.Log, cmd.ErrOrStderr()))
	if err != nil {
		return err
	}
	if err := do(cmd.Context(), s); err != nil {
		_ = s.Close() // the first error is the one to tell
		return err
	}
	return s.Close()
}
