package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/goleak"
)

// TestMain lets scripts and tests run this binary as the command: exec.Command("sentinel") finds it.
func TestMain(m *testing.M) {
	testscript.Main(leakChecked{m}, map[string]func(){"sentinel": main})
}

// leakChecked fails when goroutines outlive the tests.
type leakChecked struct{ m *testing.M }

func (c leakChecked) Run() int {
	code := c.m.Run()
	if code != 0 {
		return code
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// What people type, and what they see. Each script finds normal.jsonl, an hour and a half of an assistant's calm traffic, and the folder
// example with the suite that the docs show.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
		Setup: func(env *testscript.Env) error {
			var lines []byte
			for _, td := range newTraffic("helpdesk", time.Date(2025, time.October, 9, 8, 0, 0, 0, time.UTC)).calls(200, 30*time.Second, nil) {
				line, err := (&ptrace.JSONMarshaler{}).MarshalTraces(td)
				if err != nil {
					return err
				}
				lines = append(append(lines, line...), '\n')
			}
			if err := os.CopyFS(filepath.Join(env.WorkDir, "example"), os.DirFS(filepath.Join("..", "..", "docs", "examples", "eval"))); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(env.WorkDir, "normal.jsonl"), lines, 0o600)
		},
	})
}

// exits is "exits CODE PROGRAM ARGS...": the program must end with that code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}
