#!/usr/bin/env bash
# Chromium, headless: pages are opened in it.
# shellcheck source-path=SCRIPTDIR/..
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

provides=("SENTINEL_CHROMIUM=$(command -v chromium || printf '%s' /usr/bin/chromium)")

setup() {
  need_command chromium chromium
  chromium --version
}

stack_part "$@"
