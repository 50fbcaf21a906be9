#!/usr/bin/env bash
# RabbitMQ, from Debian's packages, which are unpacked and not installed: no service of theirs starts. The user guest with
# the password guest, on loopback. SENTINEL_RABBITMQ_PORT changes its port; the two ports after it are taken too.
# shellcheck source-path=SCRIPTDIR/..
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

port=${SENTINEL_RABBITMQ_PORT:-25682}
distribution=$((port + 1))
epmd=$((port + 2))
provides=("SENTINEL_TEST_RABBITMQ=amqp://guest:guest@127.0.0.1:$port/")

# What the server loads of Erlang.
packages=(rabbitmq-server erlang-base erlang-asn1 erlang-crypto erlang-eldap erlang-inets erlang-mnesia erlang-os-mon
  erlang-parsetools erlang-public-key erlang-runtime-tools erlang-ssl erlang-syntax-tools erlang-tools erlang-xmerl)

setup() {
  [[ ! -x $home/bin/erl ]] || return 0
  local package
  rm -rf "$home/root"
  mkdir -p "$home/root" "$home/unpacked"
  for package in "${packages[@]}"; do
    apt_extract "$package" "$home/unpacked/$package"
    cp -a "$home/unpacked/$package/." "$home/root"
  done
  rm -rf "$home/unpacked"
  launcher
}

# launcher makes bin/erl: Debian's own looks for Erlang in /usr/lib.
launcher() {
  local erlang=$home/root/usr/lib/erlang runtime
  runtime=$(echo "$erlang"/erts-*/bin)
  mkdir -p "$home/bin"
  cat >"$home/bin/erl.new" <<END
#!/bin/sh
export ROOTDIR='$erlang' BINDIR='$runtime' EMU=beam PROGNAME=erl
exec '$runtime/erlexec' "\$@"
END
  chmod +x "$home/bin/erl.new"
  ln -sf "$runtime/epmd" "$home/bin/epmd"
  mv "$home/bin/erl.new" "$home/bin/erl"
}

start() {
  local taken scripts
  for taken in "$port" "$distribution" "$epmd"; do
    port_free "$taken" || missing "port $taken is in use by another program; set SENTINEL_RABBITMQ_PORT"
  done
  scripts=$(echo "$home"/root/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin)
  mkdir -p "$state/data"
  : >"$state/enabled_plugins"
  printf 'listeners.tcp.default = 127.0.0.1:%s\n' "$port" >"$state/rabbitmq.conf"
  export PATH=$home/bin:$PATH HOME=$state ERL_EPMD_PORT=$epmd ERL_EPMD_ADDRESS=127.0.0.1
  export RABBITMQ_NODENAME=sentinel@localhost RABBITMQ_DIST_PORT=$distribution RABBITMQ_MNESIA_BASE=$state/data
  export RABBITMQ_CONFIG_FILE=$state/rabbitmq.conf RABBITMQ_CONF_ENV_FILE=/dev/null RABBITMQ_LOGS=- RABBITMQ_LOG_BASE=$state
  export RABBITMQ_ENABLED_PLUGINS_FILE=$state/enabled_plugins RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1}'
  # The server's scripts would start epmd, Erlang's directory of nodes, as a daemon that outlives it.
  serve bash -c 'epmd & directory=$!
    RUNNING_UNDER_SYSTEMD=1 "$0" & server=$!
    trap "kill $server" TERM
    wait $server
    wait $server # the first one ends with the signal
    kill $directory' "$scripts/rabbitmq-server"
  await 120 "$scripts/rabbitmqctl" await_startup --timeout 5
}

stack_part "$@"
