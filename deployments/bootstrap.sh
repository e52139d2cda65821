#!/usr/bin/env bash
# Make a Debian 12 machine ready: .venv from uv.lock, and by apt only what is missing. Needs python3 >= 3.11, git, make.
# Usage: deployments/bootstrap.sh [tests]   (tests: chromium to look at the Prefect pages, a prometheus to ask, and uv)
# Says what it does before it does it; says nothing, and is done at once, when nothing is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$1"; printf '  -> %s\n' "$2" >&2; exit 1; }
have() { command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ]; }

# An engine that answers needs no docker.io. A DOCKER_HOST that somebody set is theirs to keep alive.
engine_answers() {
  [ -n "${DOCKER_HOST:-}" ] || python3 - <<'PYTHON' 2>/dev/null
import socket
with socket.socket(socket.AF_UNIX) as engine:
    engine.settimeout(2)
    engine.connect("/var/run/docker.sock")
    engine.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
    assert b"200" in engine.recv(64)
PYTHON
}

missing_packages() {
  have haproxy || echo haproxy
  have docker-registry || echo docker-registry
  have ssh-keygen || echo openssh-client
  have dockerd || engine_answers || echo docker.io iptables
  [ "${1:-}" != tests ] || have chromium || echo chromium
  [ "${1:-}" != tests ] || have prometheus || echo prometheus
  [ -x .venv/bin/python ] || [ -x .interlock/uv/bin/uv ] || python3 -c 'import ensurepip' 2>/dev/null || echo python3-venv
}

# Debian starts what it installs. Ours are started by `make up`, on ports of their own, so nothing may stay behind:
# policy-rc.d forbids the start without systemd, `systemctl disable` undoes it with.
install() {
  [ "$(id -u)" = 0 ] || fail "missing: $*" "as root: apt-get install --no-install-recommends $*"
  have apt-get || fail "missing, and this is not Debian: $*" "install these by your own package manager"
  say "installing by apt: $*"
  local policy=/usr/sbin/policy-rc.d log=.interlock/apt.log name
  mkdir -p .interlock
  if [ ! -e "$policy" ]; then
    trap "rm -f $policy" EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy"
  fi
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@"; } >"$log" 2>&1 </dev/null ||
    fail "apt-get failed: $(tail -n 3 "$log")" "the whole log is in $log"
  [ ! -d /run/systemd/system ] || for name in haproxy docker-registry prometheus; do
    case " $* " in *" $name "*) systemctl disable --now --quiet "$name" ;; esac
  done
}

python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "python3 is $(python3 -V), 3.11 is needed" "on Debian 12: apt-get install python3"
mapfile -t packages < <(missing_packages "${1:-}" | tr ' ' '\n')
[ ${#packages[@]} = 0 ] || install "${packages[@]}"

need_uv() {
  [ ! -x .interlock/uv/bin/uv ] || return 0
  say "installing uv into .interlock/uv"
  python3 -m venv .interlock/uv
  .interlock/uv/bin/pip install --quiet --disable-pip-version-check uv
}
[ "${1:-}" != tests ] || need_uv

# .venv/uv.lock and .venv/pyproject.toml are what .venv was last made from.
if ! cmp -s uv.lock .venv/uv.lock || ! cmp -s pyproject.toml .venv/pyproject.toml; then
  need_uv
  say "making .venv from uv.lock"
  # Compiled now: a flow run is a process of its own, and importing Prefect from source costs it 4 s instead of 2 s.
  UV_PYTHON_DOWNLOADS=never .interlock/uv/bin/uv sync --frozen --quiet --compile-bytecode
  cp uv.lock pyproject.toml .venv/
fi
