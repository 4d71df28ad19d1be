"""HAProxy started with its addresses put right: a script that Serve takes for HAProxy itself.

Serve opens HAProxy's statistics and metrics on every interface, without a password, and binds replicas and fallback
proxy to the service's own address. No setting changes either. So Serve is told to serve on loopback, and the script,
which Serve runs for each start and reload, moves the lines of the written configuration: statistics and metrics to
loopback, the service's port to the address that the user named. Linux only, as Serve's HAProxy is.

Two answers of HAProxy's own are put right as well, since clients try again what will pass: until a fresh HAProxy has
heard of the replicas it says 404 to every path, which is a 503 here (`OPTIONS *` and the like stay a 404: they name
no path that it could ever know); and a connection that a replica took with it is
HAProxy's 502, 503 or 504 again, which Serve has it call 500.

And nobody is turned away while a dead HAProxy is replaced, which takes Serve four seconds and more. The script leaves
a watcher behind (its parent, Serve's actor, keeps HAProxy itself as its child): where HAProxy ends and the actor lives,
the watcher starts a stand-in with the same configuration, but no admin socket: by its silence Serve still learns that
its own HAProxy is dead. The next one takes the port over from the stand-in (`-sf`) once it knows where requests go to.
"""

import shlex
from pathlib import Path

SCRIPT = """#!/bin/sh
# Made by the launcher; see app/haproxy_wrapper.py.
if [ "$1" = --watch ]; then
  haproxy=$2 actor=$3
  # Serve takes whatever has the configuration's path among its arguments for a HAProxy of its own.
  config=${4#of=}
  mine="$config.of-$haproxy"
  trap 'rm -f "$mine"' EXIT
  tail --pid="$haproxy" -s 0.05 -f /dev/null
  if kill -0 "$haproxy" 2>/dev/null; then exit 0; fi  # no such `tail` here
  # Serve that ends, or drains this node, kills HAProxy first and the actor right after it.
  sleep 0.2
  if [ -e "$(dirname "$0")/%(ending)s" ] || ! kill -0 "$actor" 2>/dev/null; then exit 0; fi
  serving=$(cat "$config.serving")
  if [ "$serving" != "$haproxy" ] && kill -0 "$serving" 2>/dev/null; then exit 0; fi  # another has its place
  %(binary)s -db -dR -f "$mine" &
  standin=$!
  sleep 0.2
  if ! kill -0 $standin 2>/dev/null; then exit 0; fi  # somebody has the port
  echo $standin > "$config.standin"
  seconds=0
  while kill -0 $standin 2>/dev/null; do
    if [ $seconds -ge %(standin_s)d ]; then kill -USR1 $standin; wait $standin; fi
    sleep 1
    seconds=$((seconds + 1))
  done
  if [ "$(cat "$config.standin")" = $standin ]; then rm "$config.standin"; fi
  exit 0
fi
previous=
for argument; do
  if [ "$previous" = -f ]; then config=$argument; fi
  previous=$argument
done
sed -i \\
  -e 's/^\\( *bind \\)\\*\\{0,1\\}:\\([0-9][0-9]*\\)$/\\1127.0.0.1:\\2/' \\
  -e 's/^\\( *bind \\)127\\.0\\.0\\.1:%(port)d$/\\1%(host)s:%(port)d/' \\
  -e '/^ *http-request return status 404 .*lf-string "Path/{
h
s/ 404 / 503 /
s/ lf-string / hdr retry-after 1 lf-string /
s/$/ if { path_beg \\/ }/
G
}' \\
  -e '/^ *errorfile 50[234] /d' \\
  "$config" || exit 1
others=$(sed -n 's/^ *bind //p' "$config" | grep -Fvx '%(host)s:%(port)d' | grep -Evx '127\\.0\\.0\\.1:[0-9]+')
if [ -n "$others" ]; then
  echo "HAProxy would listen on $others: this is not the configuration that Serve 2.60 writes." >&2
  exit 1
fi

# A stand-in gives way to the first that knows where requests go to. Until then it alone has the service's port.
knows=$(grep -c '^ *use_backend ' "$config")
standin=$(cat "$config.standin" 2>/dev/null)
if [ -n "$standin" ] && grep -q "$config.of-" "/proc/$standin/cmdline" 2>/dev/null; then
  if [ "$knows" -gt 0 ]; then
    set -- "$@" -sf "$standin"
  else
    sed -i '/^ *bind %(host)s:%(port)d$/d' "$config"
  fi
fi
echo $$ > "$config.serving"
if [ "$knows" -gt 0 ]; then
  sed -e '/^ *stats socket /d' -e '/^ *bind /{/ %(host)s:%(port)d$/!d
}' "$config" > "$config.of-$$"
  # Ray ends an actor's process group with it.
  setsid "$0" --watch $$ $PPID "of=$config" &
fi
exec %(binary)s "$@"
"""

ENDING = "ending"
# Serve has a proxy again long before.
STANDIN_S = 60


def write(folder: Path, binary: str, host: str, port: int) -> Path:
    """The script, in `folder`; `host:port` is where the service is to be reached."""
    path = folder / "haproxy"
    words = {"host": host, "port": port, "binary": shlex.quote(binary), "ending": ENDING, "standin_s": STANDIN_S}
    path.write_text(SCRIPT % words)
    path.chmod(0o700)
    return path


def end(folder: Path) -> None:
    """The service of this folder ends: no stand-in takes the place of a HAProxy that does so too."""
    (folder / ENDING).touch()
