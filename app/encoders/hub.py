"""The model hub: its cache on disk and its downloads. Nothing else talks to it. Look-ups have a short deadline, so a
service without a network starts in seconds and says what it misses."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from app.config.settings import hub_cache
from app.encoders.files import described

T = TypeVar("T")

# Repositories whose main branch is said to have no safetensors, and the hub's conversion of them.
# UNVERIFIED here, no hub was at hand: other projects' code names this revision. Used only if main has none.
CONVERSIONS = {"openai/clip-vit-base-patch32": "refs/pr/15"}
LOOKUP_S = 4.0
# A pattern's * takes in folders too: 2_Dense, 0_Router/query_0_StaticEmbedding.
BIN = ("pytorch_model.bin", "pytorch_model-*.bin", "[0-9]_*/pytorch_model*.bin")
WANTED = (
    *("*.json", "*.txt", "*.model", "*.bpe", "*.codes", "*.tiktoken", "*.jinja", "artifact.metadata"),
    *("model.safetensors", "model-*.safetensors", "[0-9]_*/model.safetensors", "[0-9]_*/model-*.safetensors"),
)
UNWANTED = ("onnx/*", "openvino/*", "coreml/*", "*/onnx/*", "*.onnx*", "train*", "eval/*", "data_config.json")


class HubError(Exception):
    """Why the hub did not give a model; the message ends a sentence."""


def cached(model_id: str, revision: str | None) -> Path | None:
    """The snapshot in the hub cache, if there is one. Never asks the network."""
    # Most starts have no such folder, and importing the hub's library costs more than this look.
    if not (hub_cache() / f"models--{model_id.replace('/', '--')}").is_dir():
        return None
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    with suppress(OSError, HFValidationError):
        return Path(snapshot_download(model_id, revision=revision, cache_dir=hub_cache(), local_files_only=True))
    return None


def download(model_id: str, revision: str | None, *, allow_bin: bool, progress: bool) -> Path:
    """Fetch a model into the hub cache. Raises HubError, as `look_up`."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils.tqdm import disable_progress_bars, enable_progress_bars

    revision, safe = look_up(model_id, revision, allow_bin)
    (enable_progress_bars if progress else disable_progress_bars)()
    with _named():
        folder = snapshot_download(
            model_id,
            revision=revision or "main",
            cache_dir=hub_cache(),
            allow_patterns=[*WANTED, *(() if safe else BIN)],
            ignore_patterns=list(UNWANTED),
            etag_timeout=LOOKUP_S,
        )
    return Path(folder)


def look_up(model_id: str, revision: str | None, allow_bin: bool) -> tuple[str | None, bool]:
    """Where the hub has a model: its revision, and whether as safetensors. Raises HubError if the hub can't be reached,
    or has no such model or revision in a format that may be read."""
    from huggingface_hub import HfApi

    def files(at: str | None) -> list[str]:
        info = _within(LOOKUP_S + 1, lambda: HfApi().model_info(model_id, revision=at, timeout=LOOKUP_S))
        return [sibling.rfilename for sibling in info.siblings or ()]

    names = files(revision)
    if not _has(names, ".safetensors") and revision is None and model_id in CONVERSIONS:
        conversion = CONVERSIONS[model_id]
        try:
            names, revision = files(conversion), conversion
        except HubError as exc:
            if not allow_bin:
                raise HubError(f"its conversion at {conversion} is not available: {exc}") from exc
    safe = _has(names, ".safetensors")
    if not safe and not (allow_bin and _has(names, ".bin")):
        raise HubError("the repository has no safetensors weights (allow_bin_weights reads pytorch_model.bin)")
    if not {"config.json", "modules.json"} & set(names):
        raise HubError("the repository has no config.json")
    return revision, safe


def _has(names: list[str], suffix: str) -> bool:
    return any(name.endswith(suffix) and Path(name).name.startswith(("model", "pytorch_model")) for name in names)


def _within(seconds: float, call: Callable[[], T]) -> T:
    """The call's result or a HubError in time: name resolution has no timeout of its own."""
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            with _named():
                outcome.set_result(call())
        except HubError as exc:
            outcome.set_exception(exc)

    # Not an executor's: those are waited for when the process ends.
    threading.Thread(target=run, name="hub-lookup", daemon=True).start()
    try:
        return outcome.result(seconds)
    except TimeoutError:
        raise HubError(f"the hub did not answer within {seconds:.0f} s") from None


@contextmanager
def _named() -> Iterator[None]:
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as exc:
        raise HubError("the repository is gated: accept its terms and set HF_TOKEN") from exc
    except errors.RepositoryNotFoundError as exc:
        raise HubError("the hub has no such public repository") from exc
    except errors.RevisionNotFoundError as exc:
        raise HubError("the repository has no such revision") from exc
    except Exception as exc:
        raise HubError(f"the hub can't be reached ({described(exc)})") from exc
