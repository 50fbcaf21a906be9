package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/llm-sentinel/llm-sentinel/cmd/sentinel/app"
	"github.com/llm-sentinel/llm-sentinel/notify"
)

func newNotify() *cobra.Command {
	cmd := &cobra.Command{Use: "notify", Short: "Try the receivers of alerts"}
	var flags configFlags
	test := &cobra.Command{
		Use:   "test RECEIVER",
		Short: "Send a test alert to one receiver",
		Long:  "Sends a made-up alert, marked as such, to a receiver of the configuration, past routes and outbox, and says what the receiver answered.",
		Example: `  sentinel notify test oncall --config sentinel.yaml
  sentinel notify test slack-ops`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := flags.load()
			if err != nil {
				return err
			}
			if err := app.SendAlert(cmd.Context(), cfg, args[0], notify.Sample(time.Now()), app.NewLogger(cfg.Log, cmd.ErrOrStderr())); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s took the test alert\n", args[0])
			return err
		},
	}
	flags.register(test)
	cmd.AddCommand(test)
	return cmd
}
