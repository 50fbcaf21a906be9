package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

func newIncidents() *cobra.Command {
	c := client{http: &http.Client{Timeout: 30 * time.Second}}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "incidents [ID]",
		Short: "List incidents of a running server, or print one with its note",
		Example: `  sentinel incidents
  sentinel incidents inc-3f9a1c22b0d4
  sentinel incidents --url https://sentinel.example.com --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c.base = strings.TrimSuffix(c.base, "/")
			out := cmd.OutOrStdout()
			if len(args) == 1 {
				in, err := c.incident(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if asJSON {
					return json.NewEncoder(out).Encode(in)
				}
				fmt.Fprintf(out, "[%s] %s\n%s, %s, began %s\n\n", strings.ToUpper(string(in.Severity)), in.Title, in.ID, in.Status, in.Onset.Format(time.RFC3339))
				if in.Explanation != nil {
					fmt.Fprintln(out, in.Explanation.Note)
				}
				return nil
			}
			var all []engine.Incident
			for cursor := ""; ; {
				page, err := c.incidents(cmd.Context(), cursor)
				if err != nil {
					return err
				}
				all = append(all, page.Items...)
				if cursor = page.Next; cursor == "" {
					break
				}
			}
			if asJSON {
				return json.NewEncoder(out).Encode(all)
			}
			t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(t, "ID\tSEVERITY\tSTATUS\tONSET\tLAST SEEN\tTITLE")
			for _, in := range all {
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", in.ID, in.Severity, in.Status, in.Onset.Format(time.RFC3339), in.LastSeen.Format(time.RFC3339), in.Title)
			}
			return t.Flush()
		},
	}
	cmd.Flags().StringVar(&c.base, "url", "http://127.0.0.1:8080", "where the server is")
	cmd.Flags().StringVar(&c.key, "key", os.Getenv("SENTINEL_API_KEY"), "API key (default: SENTINEL_API_KEY)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
