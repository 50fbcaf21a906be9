#!/usr/bin/env bash
# A C and C++ compiler: the race detector and the model server are built with it.
# shellcheck source-path=SCRIPTDIR/..
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

setup() {
  need_command gcc gcc
  need_command g++ g++
}

stack_part "$@"
