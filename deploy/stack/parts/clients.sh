#!/usr/bin/env bash
# Real OpenTelemetry clients: one virtual environment an instrumentation, since their requirements exclude each other.
# shellcheck source-path=SCRIPTDIR/..
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

requirements=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../../ingest/otlp/testdata/clients/requirements" && pwd)
provides=("SENTINEL_CLIENT_VENVS=$home/venvs")

setup() {
  need_command python3 python3
  local file venv
  for file in "$requirements"/*.txt; do
    venv=$home/venvs/$(basename "$file" .txt)
    # The copy is made last, so a broken installation is never taken for a whole one.
    if cmp -s "$file" "$venv/requirements.txt" && "$venv/bin/python" -c ''; then continue; fi
    say "installing $(basename "$venv")"
    python_environment "$venv"
    "$venv/bin/pip" install --disable-pip-version-check --only-binary :all: --no-deps -r "$file" ||
      missing "pip install -r $file failed, see $log"
    cp "$file" "$venv/requirements.txt"
  done
}

stack_part "$@"
