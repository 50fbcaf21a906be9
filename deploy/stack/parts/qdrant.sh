#!/usr/bin/env bash
# Qdrant's gRPC services: its own storage and search engine behind its own protocol, joined by qdrant/server.py, since its
# server comes in no package registry. SENTINEL_QDRANT_PORT changes its port.
# shellcheck source-path=SCRIPTDIR/..
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

port=${SENTINEL_QDRANT_PORT:-16334}
program=$(cd "$(dirname "${BASH_SOURCE[0]}")/../qdrant" && pwd)
venv=$home/venv
provides=("SENTINEL_TEST_QDRANT=127.0.0.1:$port")

setup() {
  need_command python3 python3
  # The copy is made last, so a broken installation is never taken for a whole one.
  if cmp -s "$program/requirements.txt" "$venv/requirements.txt" && "$venv/bin/python" -c ''; then return; fi
  say installing
  python_environment "$venv"
  "$venv/bin/pip" install --disable-pip-version-check --only-binary :all: --no-deps -r "$program/requirements.txt" ||
    missing "pip install -r $program/requirements.txt failed, see $log"
  cp "$program/requirements.txt" "$venv/requirements.txt"
}

start() {
  port_free "$port" || missing "port $port is in use by another program; set SENTINEL_QDRANT_PORT"
  : >"$state/server.log"
  serve "$venv/bin/python" "$program/server.py" --folder "$state/collections" --port "$port"
  await 60 grep -q '^ready' "$state/server.log"
}

stack_part "$@"
