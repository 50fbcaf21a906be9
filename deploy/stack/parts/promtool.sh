#!/usr/bin/env bash
# promtool, of Debian's prometheus package; the server itself is neither installed nor run.
# shellcheck source-path=SCRIPTDIR/..
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

promtool=$(command -v promtool || printf '%s' "$home/root/usr/bin/promtool")
provides=("SENTINEL_PROMTOOL=$promtool")

setup() {
  [[ -x $promtool ]] || apt_extract prometheus "$home/root"
  "$promtool" --version
}

stack_part "$@"
