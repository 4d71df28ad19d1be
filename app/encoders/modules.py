"""Which modules a text passes in a model: sentence-transformers lists them, a plain directory has just one."""

import ast
from pathlib import Path, PurePosixPath

from app.encoders.files import read_json, reading

# (kind, folder) of each, in order.
Modules = list[tuple[str, str]]

MODEL2VEC = {"normalize", "embedding_dtype", "vocabulary_quantization", "apply_zipf", "tokenizer_name"}


def modules(directory: Path) -> tuple[Modules, str | None]:
    """What a plain text passes, and a note where a router has other ways too."""
    listed = read_json(directory / "modules.json", list)
    if listed is None:
        config = read_json(directory / "config.json") or {}
        static = config.get("model_type", "model2vec") == "model2vec" and MODEL2VEC & config.keys()
        ending = [("Normalize", "")] if static and config.get("normalize") else []
        return [("StaticEmbedding" if static else "Transformer", ""), *ending], None
    found: Modules = []
    note = None
    with reading(directory / "modules.json"):
        for module in listed:
            kind, folder = class_name(module["type"]), _inside(module.get("path", ""))
            if kind in ("Router", "Asym"):
                routed, note = _route(directory, folder)
                found += routed
            else:
                found.append((kind, folder))
        if not found:
            raise ValueError("it lists no module")
    return found, note


def first_folder(directory: Path) -> Path:
    """Where the transformer, or the table of token vectors, is."""
    return directory / modules(directory)[0][0][1]


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


def _route(directory: Path, folder: str) -> tuple[Modules, str | None]:
    """The modules that sentence-transformers' `encode` sends a text through."""
    files = [directory / folder / name for name in ("router_config.json", "config.json")]
    file = next(filter(Path.is_file, files), files[0])
    with reading(file):
        settings = read_json(file)
        ways, parameters = settings["structure"], settings.get("parameters", {})
        mapped = {ast.literal_eval(key): way for key, way in (parameters.get("route_mappings") or {}).items()}
        first = next(iter(ways)) if parameters.get("allow_empty_key", True) else None

        def way(task: str | None) -> str:
            keys = ((task, "text"), (task, None), (None, "text"), (None, None))
            named = [mapped[key] for key in keys if key in mapped] + [name for name in (task, "text") if name in ways]
            return str(named[0] if named else parameters.get("default_route") or first)

        chosen = way(None)
        note = None
        if others := sorted(task for task in ("query", "document") if ways[way(task)] != ways[chosen]):
            own = " and ".join(others)
            note = f"Its router has a way of its own for {own}; every text goes the way of {chosen}."
        found = [
            (class_name(settings["types"][name]), f"{folder}/{_inside(name)}".lstrip("/")) for name in ways[chosen]
        ]
    return found, note
