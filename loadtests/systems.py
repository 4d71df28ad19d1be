"""The systems under test: this service and its peer, each started on a port of its own and stopped in the end."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import yaml

from app.local import haproxy
from app.local.serve_environment import LocalPorts, environment, haproxy_binary
from app.system import ports, processes
from app.system.loopback import direct
from loadtests.http_load import Connection
from loadtests.kept_port import kept_port
from loadtests.running import clean_environment
from loadtests.workloads import body

ROOT = Path(__file__).resolve().parent.parent
START_S = 600.0
# Of a service, and a word in the command line of their processes.
PARTS = {
    "ingress": ":Ingress",
    "encoder": ":TextEncoder",
    "cache": "CacheActor",
    "haproxy": "haproxy",
}


# How servers are asked for the vectors of texts, by the path.
DIALECTS: dict[str, Callable[[Sequence[str], str], bytes]] = {
    "/embed/text": lambda texts, model: body(texts=texts),
    "/embed": lambda texts, model: body(inputs=texts, truncate=True),
    "/v1/embeddings": lambda texts, model: body(model=model, input=texts),
    "/embeddings": lambda texts, model: body(model=model, input=texts),
}


@dataclass(frozen=True, slots=True)
class System:
    """A service and how it is asked for embeddings. `process`: 0 where it is not known."""

    name: str
    port: int
    process: int
    text_path: str
    image_path: str
    text_model: str
    image_model: str
    host: str = "127.0.0.1"

    def texts(self, texts: Sequence[str]) -> bytes:
        return DIALECTS[self.text_path](texts, self.text_model)

    def images(self, uris: Sequence[str]) -> bytes:
        if self.image_path == "/embed/image":
            return body(images=uris)
        return body(model=self.image_model, input=uris, modality="image")

    def cpu_seconds(self) -> float:
        """CPU time of all its processes so far."""
        return sum(seconds for _, seconds in self.cpu_by_process().values())

    def cpu_by_process(self) -> dict[int, tuple[str, float]]:
        """By process id, its first words and its CPU seconds so far."""
        found = {}
        for process in _family(self.process):
            with contextlib.suppress(psutil.Error):
                words = " ".join(word.rsplit("/", 1)[-1] for word in process.cmdline()[:3])
                found[process.pid] = words[:60], sum(thread_cpu_s(process.pid).values())
        return found


@contextlib.contextmanager
def this_service(
    image_model: str | None = None, variables: dict[str, str] | None = None, log: Path | None = None, **args: Any
) -> Iterator[System]:
    """As `make serve` runs it, with `args` over those of serve_config.yaml; what it says goes to `log`."""
    config = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    settings = config["applications"][0]["args"]
    settings |= {"image_models": [{"id": image_model}] if image_model else []} | args
    with kept_port() as port, tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "serve_config.yaml")
        file.write_text(yaml.safe_dump(config))
        env = _environment() | {"PORT": str(port), "HF_HUB_OFFLINE": "1"} | (variables or {})
        argv = [sys.executable, "-m", "app", "--config", str(file)]
        with _running(argv, env, port, "/health", ROOT, log) as process:
            model = settings["text_models"][0]["id"]
            yield System("ours", port, process, "/embed/text", "/embed/image", model, image_model or "")


@contextlib.contextmanager
def stand_in_service(replicas: int, ingresses: int = 1, *others: str) -> Iterator[System]:
    """The same with `loadtests.stand_in` in the model's place; `others` are further flags of it."""
    flags = ["--replicas", str(replicas), "--ingresses", str(ingresses), *others]
    with _beside_us("loadtests.stand_in", flags) as (port, process):
        yield System("stand-in", port, process, "/embed/text", "", "stand-in", "")


@contextlib.contextmanager
def bare_upload() -> Iterator[int]:
    """The port of a service whose route /count only counts bytes."""
    with _beside_us("loadtests.bare_upload", []) as (port, _):
        yield port


@contextlib.contextmanager
def empty_service() -> Iterator[System]:
    """Ray Serve with as many deployments and actors as ours that do nothing."""
    with _beside_us("loadtests.empty_service", []) as (port, process):
        yield System("empty", port, process, "", "", "", "")


@contextlib.contextmanager
def _beside_us(module: str, flags: list[str]) -> Iterator[tuple[int, int]]:
    """A service of our own making, started with the flags that the launcher sets: its port and process."""
    with kept_port() as port, tempfile.TemporaryDirectory() as folder:
        binary = haproxy_binary()
        script = haproxy.write(Path(folder), binary, "127.0.0.1", port) if binary is not None else None
        env = clean_environment(**environment(LocalPorts.choose(), Path(folder), script))
        argv = [sys.executable, "-m", module, "--port", str(port), *flags]
        with _running(argv, env, port, "/health", ROOT) as process:
            yield port, process


@contextlib.contextmanager
def infinity(python: Path, text_model: Path, image_model: Path | None, engine: str) -> Iterator[System]:
    """Infinity with all its CPUs. `text_model` holds model.onnx at its root for engine "optimum"."""
    with kept_port() as port, tempfile.TemporaryDirectory() as work:
        # Its search for model.onnx knows the working directory only; the other model stands beside that file.
        shutil.copytree(text_model, work, dirs_exist_ok=True)
        flags = ["--model-id", ".", "--engine", engine, "--served-model-name", text_model.name]
        if image_model is not None:
            shutil.copytree(image_model, Path(work, image_model.name))
            name = image_model.name
            flags += ["--model-id", name, "--engine", "torch", "--served-model-name", name]
        argv = [str(python.with_name("infinity_emb")), "v2", *flags, "--device", "cpu", "--port", str(port)]
        env = _environment() | {"INFINITY_ANONYMOUS_USAGE_STATS": "0", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}
        with _running([*argv, "--no-bettertransformer"], env, port, "/health", Path(work)) as process:
            image = image_model.name if image_model else ""
            yield System(f"infinity {engine}", port, process, "/embeddings", "/embeddings", text_model.name, image)


def at(name: str, address: str, model: str) -> System:
    """A server that runs already; its dialect is found by asking. Raises SystemExit if it has none that is known."""
    url = urlsplit(address)
    host, port = url.hostname or "127.0.0.1", url.port or 80
    process = next((found.pid for found in [ports.holder(port)] if found), 0) if host == "127.0.0.1" else 0
    for path in DIALECTS:
        system = System(name, port, process, path, "", model, "", host)
        try:
            status = asyncio.run(_status(system))
        except OSError as error:
            raise SystemExit(f"{name}: nobody at {address}: {error}") from None
        if status == 200:
            return system
    raise SystemExit(f"{name}: {address} answers none of {', '.join(DIALECTS)} with 200.")


async def _status(system: System) -> int:
    connection = Connection(system.host, system.port)
    try:
        return (await connection.post(system.text_path, system.texts(["dialect"]))).status
    finally:
        await connection.close()


def peers(given: str, model: str) -> list[System]:
    """`tei=http://127.0.0.1:8080 other=...`, as PEERS says them."""
    found = []
    for peer in given.replace(",", " ").split():
        name, is_one, address = peer.partition("=")
        if not (name and is_one and urlsplit(address).hostname):
            raise SystemExit(f"PEERS: {peer} is no NAME=http://HOST:PORT.")
        found.append(at(name, address, model))
    return found


@contextlib.contextmanager
def _running(
    argv: list[str], env: dict[str, str], port: int, health: str, folder: Path, said: Path | None = None
) -> Iterator[int]:
    with said.open("w+b") if said else tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            argv, env=env, cwd=folder, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            preexec_fn=_mind_ctrl_c,
        )  # fmt: skip
        try:
            _wait_until_healthy(process, f"http://127.0.0.1:{port}{health}")
            yield process.pid
        except TimeoutError as error:
            log.seek(0)
            raise RuntimeError(f"{argv} did not start:\n{log.read().decode(errors='replace')[-4000:]}") from error
        finally:
            _stop(process)


def _wait_until_healthy(process: "subprocess.Popen[bytes]", url: str) -> None:
    give_up = time.monotonic() + START_S
    while time.monotonic() < give_up and process.poll() is None:
        with contextlib.suppress(OSError), direct.open(url, timeout=5) as answer:
            if answer.status == 200:
                return
        time.sleep(0.2)
    raise TimeoutError(url)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """At once: how a service ends well is looked at elsewhere."""
    for each in _family(process.pid):  # parents first, who would start others
        with contextlib.suppress(psutil.Error):
            each.kill()
    process.wait(30)


def _family(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.Error:
        return []


def _environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k not in {"HOST", "PORT"} and not k.startswith("RAY_")}


def _mind_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    processes.die_with_parent()  # a benchmark that is killed leaves no service behind


def cpu_by_part(process: int) -> dict[str, float]:
    """CPU seconds so far of a service's processes, by part; `rest` is Ray's."""
    spent: dict[str, float] = defaultdict(float)
    for child in psutil.Process(process).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            words = " ".join(child.cmdline())
            part = next((part for part, word in PARTS.items() if word in words and "Manager" not in words), "rest")
            spent[part] += sum(thread_cpu_s(child.pid).values())
    return spent


def thread_cpu_s(process: int) -> dict[int, float]:
    """CPU seconds so far of a process's threads, by id: to the nanosecond. `cpu_times` counts ticks, and gives those
    too much who are woken by one."""
    found = {}
    for thread in Path(f"/proc/{process}/task").glob("*"):
        with contextlib.suppress(OSError):
            found[int(thread.name)] = int((thread / "schedstat").read_text().split()[0]) / 1e9
    return found


def machine() -> dict[str, Any]:
    """What the figures were made on."""
    model = next((line.split(":", 1)[1].strip() for line in _cpuinfo() if line.startswith("model name")), "unknown")
    return {"cpu": model, "cpus": os.cpu_count(), "memory_gb": round(psutil.virtual_memory().total / 2**30)}


def _cpuinfo() -> list[str]:
    with contextlib.suppress(OSError):
        return Path("/proc/cpuinfo").read_text().splitlines()
    return []


def write_results(file: Path, name: str, figures: Any) -> None:
    """Into `file`, beside what other benchmarks wrote there."""
    results = json.loads(file.read_text()) if file.exists() else {}
    results[name] = figures
    file.write_text(json.dumps(results, indent=2) + "\n")
