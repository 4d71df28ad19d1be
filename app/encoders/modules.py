"""Which modules a text passes in a model: sentence-transformers lists them, a plain directory has just one."""

import ast
from pathlib import Path, PurePosixPath

from app.encoders.files import read_json, reading

# (kind, folder) of each, in order.
Modules = list[tuple[str, str]]

MODEL2VEC = {"normalize", "embedding_dtype", "vocabulary_quantization", "apply_zipf", "tokenizer_name"}


def routes(directory: Path) -> list[str]:
    """The tasks whose texts a router sends another way than those of no task."""
    return [task for task in ("query", "document") if modules(directory, task) != modules(directory)]


def modules(directory: Path, task: str | None = None) -> Modules:
    """What a text of this task passes."""
    listed = read_json(directory / "modules.json", list)
    if listed is None:
        config = read_json(directory / "config.json") or {}
        static = config.get("model_type", "model2vec" if MODEL2VEC & config.keys() else "") == "model2vec"
        ending = [("Normalize", "")] if static and config.get("normalize") else []
        return [("StaticEmbedding" if static else "Transformer", ""), *ending]
    found: Modules = []
    with reading(directory / "modules.json"):
        for module in listed:
            kind, folder = class_name(module["type"]), _inside(module.get("path", ""))
            if kind in ("Router", "Asym"):
                found += _route(directory, folder, task)
            else:
                found.append((kind, folder))
        if not found:
            raise ValueError("it lists no module")
    return found


def first_folder(directory: Path) -> Path:
    """Where the transformer, or the table of token vectors, is."""
    return directory / modules(directory)[0][1]


def model_type(directory: Path) -> str:
    """The transformer's `model_type`, empty if the directory has no configuration."""
    config = read_json(first_folder(directory) / "config.json") or {}
    return str(config.get("model_type", ""))


def class_name(type_: str) -> str:
    return str(type_).rsplit(".", 1)[-1]


def _inside(path: str) -> str:
    folder = PurePosixPath(path)
    if folder.is_absolute() or ".." in folder.parts:
        raise ValueError(f"{path} is outside the model's directory")
    return "" if str(folder) == "." else str(folder)


def _route(directory: Path, folder: str, task: str | None) -> Modules:
    """The modules that sentence-transformers sends a text through: by `encode_query`, `encode_document` or `encode`."""
    files = [directory / folder / name for name in ("router_config.json", "config.json")]
    file = next(filter(Path.is_file, files), files[0])
    with reading(file):
        settings = read_json(file)
        ways, parameters = settings["structure"], settings.get("parameters", {})
        mapped = {ast.literal_eval(key): way for key, way in (parameters.get("route_mappings") or {}).items()}
        keys = ((task, "text"), (task, None), (None, "text"), (None, None))
        named = [mapped[key] for key in keys if key in mapped] + [name for name in (task, "text") if name in ways]
        first = next(iter(ways)) if parameters.get("allow_empty_key", True) else None
        chosen = next(iter(named), None) or parameters.get("default_route") or first
        if chosen is None:
            raise ValueError("a text of no task has no route; set its default_route")
        return [(class_name(settings["types"][name]), f"{folder}/{_inside(name)}".lstrip("/")) for name in ways[chosen]]
