"""HAProxy started with its configuration put right: a script that Serve takes for HAProxy itself.

Serve opens HAProxy's statistics and metrics on every interface, without a password, and binds replicas and fallback
proxy to the service's own address; no setting changes either. So Serve is told to serve on loopback, and the script
(`haproxy.sh`), which Serve runs for each start and reload, changes the written configuration: statistics and metrics to
loopback, the service's port to the address that the user named. Of a configuration that it does not know, it starts
nothing and leaves a note (`refusal`). Linux only, as Serve's HAProxy is.

Clients try again what will pass, so two of HAProxy's answers are put right as well: until a fresh HAProxy has heard of
the replicas it says 404 to every path, a 503 here (`OPTIONS *` names no path that it could ever know); and a request
that is lost with its replica is a 502, 503 or 504, which Serve has it call 500. It sends such a request to another
replica where it still has the whole of it: one that fits its buffer (16 KB) and was complete before it was passed on,
so it waits for these bodies. Larger ones pass as they come.

It keeps no log: Serve has it send a line for each request to this machine's syslog, where mostly nobody listens.
"""

import json
import shutil
import socket
from pathlib import Path

from app.system import ports

SCRIPT = Path(__file__).with_name("haproxy.sh")
BODY_S = 20  # how long a body may take that surely fits HAProxy's buffer beside its headers
BODY_BYTES = 12 * 1024
RETRY_AFTER = " hdr retry-after 1"
# HAProxy's own errors in the service's format: status, code, message, headers.
ERRORS = (
    (408, "invalid_request", f"The body did not come within {BODY_S} s of the headers.", ""),
    (502, "unavailable", "The replica that had this request was lost. Try again.", RETRY_AFTER),
    (503, "unavailable", "No replica takes requests just now. Try again.", RETRY_AFTER),
    (504, "deadline_exceeded", "There was no answer in time.", ""),
)


def write(folder: Path, binary: str, host: str, port: int) -> Path:
    """The script, in `folder`, with its settings beside it. Raises OSError if `host` is no address of this machine."""
    path = folder / "haproxy"
    shutil.copyfile(SCRIPT, path)
    path.chmod(0o700)
    (folder / "settings").write_text(f"{binary}\n{port}\n{_addresses(host, port)}\n")
    # Lines of the service's frontend that Serve does not write.
    lines = [f"http-request wait-for-body time {BODY_S}s if {{ req.hdr_val(content-length) 1:{BODY_BYTES} }}"]
    for status, code, message, headers in ERRORS:
        body = json.dumps({"error": {"code": code, "message": message, "param": None, "requestId": None}})
        lines.append(f"http-error status {status} content-type application/json{headers} string '{body}'")
    (folder / "frontend.lines").write_text("".join(f"    {line}\n" for line in lines))
    return path


def refusal(folder: Path) -> str | None:
    """Why the script started no HAProxy; None while it knows what Serve writes."""
    path = folder / "refusal"
    return path.read_text().strip() if path.exists() else None


def _addresses(host: str, port: int) -> str:
    """As HAProxy reads them, of families that are named: so they differ from what Serve writes, whatever it is."""
    found = ports.addresses(host)
    if not found:
        raise OSError(f"{host} is no address of this machine")
    every = ",".join(f"{'ipv6' if family == socket.AF_INET6 else 'ipv4'}@{address}:{port}" for family, address in found)
    if (socket.AF_INET6, "::") in found:
        return f"{every} v4v6"
    # Of 127.0.0.1 and ::1 at one port a reload would lose the first, unless each is of its own family alone.
    return f"{every} v6only" if "ipv6@" in every else every
