package main

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/llm-sentinel/llm-sentinel/cmd/sentinel/app"
)

func newServe() *cobra.Command {
	var flags configFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the service",
		Long: `Runs the service until it is interrupted. Without a file it uses the embedded defaults: API and page on 127.0.0.1:8080, OTLP on
127.0.0.1:4317 (gRPC) and 127.0.0.1:4318 (HTTP), state in ./sentinel-data.`,
		Example: `  sentinel serve
  sentinel serve --config sentinel.yaml --data-dir /var/lib/sentinel`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := flags.load()
			if err != nil {
				return err
			}
			if os.Getenv("GOMEMLIMIT") == "" && cfg.MemoryLimit > 0 {
				debug.SetMemoryLimit(cfg.MemoryLimit)
			}
			log := app.NewLogger(cfg.Log, cmd.ErrOrStderr())
			a, err := app.New(cmd.Context(), cfg, app.Options{Version: cmd.Root().Version, Logger: log})
			if err != nil {
				return err
			}
			ready, cancel := context.WithCancel(cmd.Context())
			defer cancel()
			go func() {
				addrs, err := a.Addrs(ready)
				if err != nil {
					return // it ended before it was ready, and says why itself
				}
				scheme := "http"
				if cfg.API.TLS.CertFile != "" {
					scheme = "https"
				}
				fmt.Fprintf(cmd.ErrOrStderr(), "sentinel %s: page and API on %s://%s, OTLP on %s (gRPC) and %s (HTTP), state in %s\n",
					cmd.Root().Version, scheme, addrs.API, addrs.GRPC, addrs.HTTP, cfg.DataDir)
			}()
			return a.Run(cmd.Context())
		},
	}
	flags.register(cmd)
	return cmd
}
