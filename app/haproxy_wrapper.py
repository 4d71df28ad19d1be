"""HAProxy started with its addresses put right: a script that Serve takes for HAProxy itself.

Serve opens HAProxy's statistics and metrics on every interface, without a password, and binds replicas and fallback
proxy to the service's own address. No setting changes either. So Serve is told to serve on loopback, and the script,
which Serve runs for each start and reload, moves the lines of the written configuration: statistics and metrics to
loopback, the service's port to the address that the user named. Linux only, as Serve's HAProxy is.

Two answers of HAProxy's own are put right as well, since clients try again what will pass: until a fresh HAProxy has
heard of the replicas it says 404 to every path, which is a 503 here (`OPTIONS *` and the like stay a 404: they name
no path that it could ever know); and a connection that a replica took with it is
HAProxy's 502, 503 or 504 again, which Serve has it call 500.
"""

import shlex
from pathlib import Path

SCRIPT = """#!/bin/sh
# Made by the launcher; see app/haproxy_wrapper.py.
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
exec %(binary)s "$@"
"""


def write(folder: Path, binary: str, host: str, port: int) -> Path:
    """The script, in `folder`; `host:port` is where the service is to be reached."""
    path = folder / "haproxy"
    path.write_text(SCRIPT % {"host": host, "port": port, "binary": shlex.quote(binary)})
    path.chmod(0o700)
    return path
