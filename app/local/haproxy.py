"""HAProxy started with its addresses put right: a script that Serve takes for HAProxy itself.

Serve opens HAProxy's statistics and metrics on every interface, without a password, and binds replicas and fallback
proxy to the service's own address. No setting changes either. So Serve is told to serve on loopback, and the script,
which Serve runs for each start and reload, moves the lines of the written configuration: statistics and metrics to
loopback, the service's port to the socket that the launcher keeps (`app.system.listening_socket`) at the address that
the user
named. Linux only, as Serve's HAProxy is.

Two answers of HAProxy's own are put right as well, since clients try again what will pass: until a fresh HAProxy has
heard of the replicas it says 404 to every path, which is a 503 here (`OPTIONS *` and the like stay a 404: they name
no path that it could ever know); and what a replica took with it is a 502, 503 or 504, which Serve has it call 500.

HAProxy asks another replica for what one has taken with it, where it still has the whole request: one that fits its
buffer (16 KB), and that it had whole before it passed it on. So it waits for the bodies of such; larger ones pass as
they come, and what is refused for its headers alone is refused before they do.

And nobody is turned away while a dead HAProxy is replaced, which takes Serve four seconds and more: connections wait
at the kept socket, and not for long. The script leaves a watcher behind (its parent, Serve's actor, keeps HAProxy
itself as its child): where HAProxy ends and the actor lives, the watcher starts a stand-in with the same configuration,
but no admin socket: by its silence Serve still learns that its own HAProxy is dead. The next one takes over from the
stand-in (`-sf`) once it knows where requests go to.
"""

import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

from app.system import listening_socket
from app.system.listening_socket import KeptSocket

SCRIPT = """#!/bin/sh
# Made by the launcher; see app/local/haproxy.py.
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
  %(haproxy)s -db -dR -f "$mine" &
  standin=$!
  sleep 0.2
  if ! kill -0 $standin 2>/dev/null; then exit 0; fi  # it was no HAProxy's configuration, or the service has ended
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
  -e 's/^\\( *bind \\)127\\.0\\.0\\.1:%(port)d$/\\1%(bound)s/' \\
  -e '/^ *http-request return status 404 .*lf-string "Path/{
h
s/ 404 / 503 /
s/ lf-string / hdr retry-after 1 lf-string /
s/$/ if { path_beg \\/ }/
G
}' \\
  -e '/^ *errorfile 50[234] /d' \\
  -e '/^ *bind %(bound)s$/r %(lines)s' \\
  "$config" || exit 1
others=$(sed -n 's/^ *bind //p' "$config" | grep -Fvx '%(bound)s' | grep -Evx '127\\.0\\.0\\.1:[0-9]+')
if [ -n "$others" ]; then
  echo "HAProxy would listen on $others: this is not the configuration that Serve 2.60 writes." >&2
  exit 1
fi

# A stand-in gives way to the first that knows where requests go to. Until then it alone takes connections.
knows=$(grep -c '^ *use_backend ' "$config")
standin=$(cat "$config.standin" 2>/dev/null)
if [ -n "$standin" ] && grep -q "$config.of-" "/proc/$standin/cmdline" 2>/dev/null; then
  if [ "$knows" -gt 0 ]; then
    set -- "$@" -sf "$standin"
  else
    sed -i '/^ *bind %(bound)s$/d' "$config"
  fi
fi
echo $$ > "$config.serving"
if [ "$knows" -gt 0 ]; then
  sed -e '/^ *stats socket /d' -e '/^ *bind /{/ %(bound)s$/!d
}' "$config" > "$config.of-$$"
  # Ray ends an actor's process group with it.
  setsid "$0" --watch $$ $PPID "of=$config" &
fi
exec %(haproxy)s "$@"
"""

ENDING = "ending"
LINES = "frontend.lines"
SOCKET = "port.sock"
# Serve has a proxy again long before.
STANDIN_S = 60
# For a body to come whole that surely fits HAProxy's buffer beside its headers.
BODY_S = 20
BODY_BYTES = 12 * 1024
AGAIN = " hdr retry-after 1"
# What HAProxy itself has to say, in the service's words: status, code, message, headers.
ERRORS = (
    (408, "invalid_request", f"The body did not come within {BODY_S} s of the headers.", ""),
    (502, "unavailable", "The replica that had this request was lost. Try again.", AGAIN),
    (503, "unavailable", "No replica takes requests just now. Try again.", AGAIN),
    (504, "deadline_exceeded", "There was no answer in time.", ""),
)


def write(folder: Path, binary: str, port: int) -> Path:
    """The script, in `folder`, where the socket is to be kept as well (`keep`).

    Args:
        port: The service's, as Serve knows it.
    """
    path, lines = folder / "haproxy", folder / LINES
    lines.write_text("".join(f"    {line}\n" for line in _frontend()))
    # Without this interpreter's packages, which a tenth of a second would go into.
    borrowing = [sys.executable, "-I", "-S", listening_socket.__file__, str(folder / SOCKET), binary]
    words = {"port": port, "bound": f"fd@{listening_socket.DESCRIPTOR}", "haproxy": shlex.join(borrowing)}
    path.write_text(SCRIPT % (words | {"ending": ENDING, "lines": lines, "standin_s": STANDIN_S}))
    path.chmod(0o700)
    return path


def _frontend() -> Iterator[str]:
    """Lines of the service's frontend that Serve does not write."""
    yield f"http-request wait-for-body time {BODY_S}s if {{ req.hdr_val(content-length) 1:{BODY_BYTES} }}"
    for status, code, message, headers in ERRORS:
        body = json.dumps({"error": {"code": code, "message": message, "param": None, "requestId": None}})
        yield f"http-error status {status} content-type application/json{headers} string '{body}'"


def keep(folder: Path, host: str, port: int) -> KeptSocket:
    """The address at which the service is to be reached, for every HAProxy of this folder.

    Raises:
        OSError: It can't be bound.
    """
    return KeptSocket(host, port, str(folder / SOCKET))


def end(folder: Path) -> None:
    """The service of this folder ends: no stand-in takes the place of a HAProxy that does so too."""
    (folder / ENDING).touch()
