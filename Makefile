# Everything that is done with LLM-Sentinel by hand; the text after ## is what `make help` shows.

MAKEFLAGS += --no-print-directory
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help build run demo eval eval-models eval-memories test soak race lint fuzz bench bench-screen bench-traces bench-memory stack stack-down generate verify

GO ?= go
# ARGS is handed to the program by run and demo, to `go test` by test, race and bench.
ARGS ?=
# FUZZ is a regular expression over folder:Target, FUZZTIME how long each target runs.
FUZZ ?= .
FUZZTIME ?= 60s

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
GOLANGCI_LINT_VERSION := v2.15.0
GOLANGCI_LINT_DIR := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/llm-sentinel-tools/golangci-lint-$(GOLANGCI_LINT_VERSION)

help: ## show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build the static binary bin/sentinel
	@CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/sentinel ./cmd/sentinel >&2

run: build ## serve with the embedded defaults (ARGS="--config FILE")
	@bin/sentinel serve $(ARGS)

demo: build ## serve, play traffic with incidents in it and print each incident (ARGS="--once --json")
	@bin/sentinel demo $(ARGS)

DATA ?= ../shared/data/dev
OUT ?= eval-report

eval: build ## run the offline suites that need no model server (DATA=folder OUT=folder ARGS="--compare FILE")
	@bin/sentinel eval --data $(DATA) --out $(OUT) $(ARGS)

eval-models: build ## the same with MiniLM and a small language model through Ollama, which it sets up
	@SENTINEL_STACK_PARTS='compiler ollama' deploy/stack/run bin/sentinel eval --config docs/examples/eval/models.yaml --data $(DATA) --out $(OUT) --notes 12 $(ARGS)

eval-memories: build ## measure the three vector memories, of which it sets up two (QDRANT_ADDR=host:port PGVECTOR_URL=postgres://… for servers of your own)
	@SENTINEL_STACK_PARTS='postgres qdrant' deploy/stack/run bash -c ' \
		export QDRANT_ADDR=$${QDRANT_ADDR:-$$SENTINEL_TEST_QDRANT} PGVECTOR_URL=$${PGVECTOR_URL:-$$SENTINEL_TEST_POSTGRES}; \
		exec bin/sentinel eval retrieval --config docs/examples/eval/memories.yaml --data $(DATA) --out $(OUT) $(ARGS)'

# The race detector needs a C compiler; without one the tests run all the same. A cached result says nothing about the
# real parts, hence the count.
test: ## run all tests with the race detector, beside the real parts, which it sets up and stops
	@deploy/stack/up compiler
	@if command -v gcc >/dev/null; then race=-race; export CGO_ENABLED=1; fi; \
		deploy/stack/run $(GO) test $$race -count 1 -timeout 20m $(ARGS) ./...

soak: ## kill the process fifty times under load, with disk, brokers, database and receivers failing, and check that nothing is lost
	@SENTINEL_SOAK_KILLS=50 deploy/stack/run $(GO) test -run Soak -v -count 1 -timeout 90m ./cmd/sentinel

race: ## run all tests with the race detector, without the real parts
	@CGO_ENABLED=1 $(GO) test -race -timeout 20m $(ARGS) ./...

lint: $(GOLANGCI_LINT_DIR)/golangci-lint ## check style, formatting and which package imports which
	@$< run ./...

$(GOLANGCI_LINT_DIR)/golangci-lint:
	@echo 'building golangci-lint $(GOLANGCI_LINT_VERSION), which takes some minutes' >&2
	@GOBIN=$(@D) CGO_ENABLED=0 $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)

fuzz: ## run each fuzz target for FUZZTIME (FUZZ='ingest/otlp' selects some of them)
	@targets=$$(grep -rEo --include='*_test.go' '^func Fuzz\w+' . | sed -E 's|^(.*)/[^/]+:func |\1:|' | sort -u | grep -E '$(FUZZ)') || \
		{ echo "no fuzz target matches '$(FUZZ)'" >&2; exit 1; }; \
	echo "$$targets"; \
	for target in $$targets; do \
		$(GO) test -run '^$$' -fuzz "^$${target#*:}$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10s "$${target%:*}" || exit 1; \
	done

bench: ## run all benchmarks (ARGS="-count 10" for benchstat)
	@$(GO) test -run '^$$' -bench . -benchmem $(ARGS) ./...

bench-traces: ## measure POST /api/v1/traces: 40 texts beside 50,000 vectors, 20 requests a second for a minute
	@$(GO) test -run '^$$' -bench PostTraces -benchtime 1200x $(ARGS) ./cmd/sentinel/app

bench-screen: build ## compare spans a second of a core with the OpenTelemetry Collector, in about 5 minutes (ARGS="-rounds 20 -length 20s")
	@cd deploy/bench && CGO_ENABLED=0 $(GO) build -trimpath -o ../../bin/bench-collector ./collector && $(GO) build -trimpath -o ../../bin/bench-screen .
	@bin/bench-screen $(ARGS)

bench-memory: ## keep 200,000 series live and 20,000 in a store, and show what the process takes and what a snapshot costs
	@$(GO) test -run '^$$' -bench LiveSeries -benchtime 1x $(ARGS) ./cmd/sentinel

stack: ## set up and start the real parts that tests run against
	@deploy/stack/up

stack-down: ## stop them
	@deploy/stack/down

generate: ## make all generated files anew
	@$(GO) generate ./...

verify: ## all that a release must pass: module sums, lint, test, fuzz
	@$(GO) mod verify
	@$(GO) mod tidy -diff
	@$(MAKE) lint
	@$(MAKE) test
	@$(MAKE) fuzz
