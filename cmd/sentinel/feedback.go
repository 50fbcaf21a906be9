package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/llm-sentinel/llm-sentinel/cmd/sentinel/app"
	"github.com/llm-sentinel/llm-sentinel/engine"
)

func newFeedback() *cobra.Command {
	var flags configFlags
	cmd := &cobra.Command{
		Use:   "feedback",
		Short: "List and undo people's words on incidents and anomalies",
		Long: `Feedback lives in the store under the data directory; a running service sees a change within a minute. Here any word can be taken back,
whichever API key it came with: use it after a key was misused.`,
	}
	list := &cobra.Command{Use: "list", Short: "List feedback, newest first", Args: cobra.NoArgs}
	asJSON := list.Flags().Bool("json", false, "print JSON")
	list.RunE = func(cmd *cobra.Command, _ []string) error {
		return withStore(cmd, flags, func(ctx context.Context, s app.Store) error {
			words, err := allFeedback(ctx, s)
			if err != nil {
				return err
			}
			if *asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(words)
			}
			t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(t, "ID\tSAID\tVERDICT\tON\tBY\tKEY\tEXPIRES\tUNDONE")
			for _, f := range words {
				on := f.Incident + f.AnomalyID // there is one of them
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", f.ID, f.At.Format(time.RFC3339), f.Verdict, on, f.By, f.KeyID, f.Expires.Format(time.RFC3339), stamp(f.Undone))
			}
			return t.Flush()
		})
	}
	undo := &cobra.Command{
		Use:   "undo [ID...]",
		Short: "Take words back, by id or all that came with an API key",
		Example: `  sentinel feedback undo 0f8b1f1e-6f3a-4a3e-9d0e-2f6c1b6a7d10
  sentinel feedback undo --key 3f9a1c22b0d4e5f6`,
	}
	key := undo.Flags().String("key", "", "id of the API key whose words are taken back")
	undo.RunE = func(cmd *cobra.Command, ids []string) error {
		if (len(ids) == 0) == (*key == "") {
			return errors.New("say either ids or --key")
		}
		return withStore(cmd, flags, func(ctx context.Context, s app.Store) error {
			if *key != "" {
				words, err := allFeedback(ctx, s)
				if err != nil {
					return err
				}
				for _, f := range words {
					if f.KeyID == *key && f.Undone == nil {
						ids = append(ids, f.ID)
					}
				}
			}
			for _, id := range ids {
				if _, err := s.UndoFeedback(ctx, id, time.Now().UTC(), "command line"); err != nil {
					return err
				}
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d taken back\n", len(ids))
			return nil
		})
	}
	undo.Args = cobra.ArbitraryArgs
	for _, c := range []*cobra.Command{list, undo} {
		flags.register(c)
		cmd.AddCommand(c)
	}
	return cmd
}

func allFeedback(ctx context.Context, s app.Store) ([]engine.Feedback, error) {
	all := []engine.Feedback{}
	for cursor := ""; ; {
		page, err := s.Feedback(ctx, "", cursor, 1000)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if cursor = page.Next; cursor == "" {
			return all, nil
		}
	}
}
