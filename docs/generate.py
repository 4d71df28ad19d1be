"""Writes what the reference says of the code: `python -m docs.generate`. A test fails while a page is out of date.

A page is written by hand but for its parts between `<!-- generated: NAME -->` and `<!-- end -->`.
"""

import argparse
import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from app.__main__ import _parser
from app.api.openapi import MATRIX_HEADERS, document
from app.api.route import Route
from app.api.routes import ROUTES
from app.config import args
from app.config.settings import AppArgs
from app.errors import ServiceError
from app.telemetry.metrics import METRICS
from docs.explanations import ERRORS, MEANINGS
from docs.mistakes import MISTAKES

FOLDER: Final = Path(__file__).parent
PART: Final = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

SECTIONS: Final[tuple[tuple[str, type[args.Settings]], ...]] = (
    ("The application", AppArgs),
    ("A model entry", args.ModelArgs),
    ("How a model runs", args.EncoderOptions),
    ("What a replica reserves", args.Placement),
    ("`autoscaling`", args.Autoscaling),
    ("`cache`", args.CacheArgs),
    ("`limits`", args.Limits),
    ("`retries`", args.RetryArgs),
    ("`access`", args.AccessArgs),
    ("`image_urls`", args.ImageUrls),
    ("`tracing`", args.TracingArgs),
)
# The launcher's own.
HIDDEN: Final = {"shapes_clip_may_serve"}


def table(head: str, rows: Iterable[Iterable[str]]) -> str:
    lines = [f"| {head} |", "|---" * (head.count("|") + 1) + "|"]
    lines += ["| " + " | ".join(cell.replace("\n", " ").replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def kind(schema: dict[str, Any], *, nullable: bool = False) -> str:
    """The type of a value, in words; with `or null` where that can be and is asked for."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        parts = (kind(part) for part in schema["anyOf"] if nullable or part != {"type": "null"})
        return " or ".join(dict.fromkeys(parts))
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        inner = schema.get("items") or {"anyOf": schema.get("prefixItems", [])}
        return f"list of {kind(inner)}" if inner.get("anyOf") != [] else "list"
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {kind(schema['additionalProperties'])}"
    return str(schema.get("type", "any"))


def value(default: Any) -> str:
    return "" if default in (None, [], {}) else f"`{json.dumps(default, ensure_ascii=False)}`"


def settings() -> str:
    parts = []
    for title, model in SECTIONS:
        schema = model.model_json_schema()
        rows = []
        for name in model.__annotations__:
            if name in HIDDEN or name not in model.model_fields:
                continue
            field = schema["properties"][name]
            ours = "$ref" in field or "$ref" in field.get("items", {})
            default = _changes(field, schema) if ours else value(field.get("default"))
            text = field.get("description") or MEANINGS[name]
            shown = "mapping" if "$ref" in field else "list of entries" if ours else kind(field)
            rows.append((f"`{name}`", shown, "**required**" if name in schema.get("required", ()) else default, text))
        parts.append(f"### {title}\n\n{table('field | type | default | meaning', rows)}")
    return "\n".join(parts)


def _changes(field: dict[str, Any], schema: dict[str, Any]) -> str:
    """The default of a field that is a group of settings: what differs from the group's own defaults."""
    default = field["default"]
    if isinstance(default, list):
        return ", ".join(f"`{entry['id']}`" for entry in default)
    own = schema["$defs"][field["$ref"].rsplit("/", 1)[-1]]["properties"]
    return ", ".join(f"`{name}: {item:g}`" for name, item in default.items() if item != own[name].get("default"))


def kinds(base: type[ServiceError] = ServiceError) -> Iterator[type[ServiceError]]:
    yield base
    for derived in base.__subclasses__():
        yield from kinds(derived)


def errors() -> str:
    ours = [kind for kind in kinds() if kind.__module__ == ServiceError.__module__ and kind.code.islower()]
    classes = {kind.code: kind for kind in reversed(ours) if kind is not ServiceError}
    ordered = sorted(classes.values(), key=lambda kind: (kind.status, kind.code))
    rows = ((str(kind.status), f"`{kind.code}`", f"`{kind.__name__}`", ERRORS[kind.code]) for kind in ordered)
    return table("status | code | class in Python | what happened, and what to do", rows)


def metrics() -> str:
    rows = ((f"`{m.name}`", m.kind, ", ".join(f"`{label}`" for label in m.labels), m.help) for m in METRICS)
    return table("metric | kind | labels | what it says", rows)


def http_api() -> str:
    whole = document(ROUTES, args.Limits(), "", keys=True)
    schemas = whole["components"]["schemas"]
    groups: dict[str, list[Route]] = {}
    for route in ROUTES:
        groups.setdefault(route.group, []).append(route)
    rows = (
        (f"[`{route.method} {route.template}`](#{_anchor(route)})", f"`{route.scope}`", route.summary)
        for routes in groups.values()
        for route in routes
    )
    parts = [table("route | scope | what it does", rows)]
    for title, routes in groups.items():
        parts.append(f"## {title}\n")
        parts += [_route(route, whole["paths"][route.template][route.method.lower()], schemas) for route in routes]
    requests = {route.request.__name__ for route in ROUTES if route.request}
    parts.append("## Objects\n")
    parts += [f"### {name}\n\n{_answer(schemas[name])}" for name in sorted(schemas.keys() - requests)]
    return "\n".join(parts)


def binary_headers() -> str:
    rows = (
        (f"`{name}`", f"`{about['example']}`", _plain(about["description"])) for name, about in MATRIX_HEADERS.items()
    )
    return table("header | for example | what it says", rows)


def _plain(description: str) -> str:
    return description.removeprefix("Binary responses only: ")


def _anchor(route: Route) -> str:
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", f"{route.method} {route.template}").strip().lower())


def _route(route: Route, operation: dict[str, Any], schemas: dict[str, Any]) -> str:
    parts = [f"### {route.method} {route.template}\n\n{route.summary}\n"]
    if "requestBody" in operation:
        body = operation["requestBody"]
        parts.append(f"Body: {', '.join(f'`{media}`' for media in body['content'])}. {body['description']}\n")
    if parameters := operation.get("parameters"):
        rows = ((f"`{p['name']}`", p["in"], kind(p["schema"]), p.get("description", "")) for p in parameters)
        parts.append(table("parameter | in | type | meaning", rows))
    if route.request:
        parts.append(_fields(schemas[route.request.__name__]))
    if route.example and len(json.dumps(route.example)) < 300:
        parts.append(f"```json\n{json.dumps(route.example)}\n```\n")
    answer = operation["responses"]["200"]["content"]
    shown = [f"`{media}`" + (f" ({kind(answer[media]['schema'])})" if route.response and media == route.media else "")
             for media in answer]  # fmt: skip
    parts.append(f"Answer: {', '.join(shown)}.\n")
    failed = [f"{status} {', '.join(f'`{code}`' for code in answer['description'].split(', '))}"
              for status, answer in operation["responses"].items()
              if int(status) >= 400 and int(status) not in route.statuses]  # fmt: skip
    parts.append(f"Errors: {'; '.join(failed)}.\n")
    return "\n".join(parts)


def _fields(schema: dict[str, Any]) -> str:
    """What a request may have."""
    required = schema.get("required", ())
    rows = [
        (f"`{name}`", kind(field), "**required**" if name in required else value(field.get("default")), _about(field))
        for name, field in schema["properties"].items()
    ]
    return table("field | type | default | meaning", rows) if rows else "No fields.\n"


def _answer(schema: dict[str, Any]) -> str:
    """What an answer has."""
    if "properties" not in schema:
        return f"{kind(schema)}. {_about(schema)}\n"
    rows = ((f"`{name}`", kind(field, nullable=True), _about(field)) for name, field in schema["properties"].items())
    return table("field | type | meaning", rows)


def _about(schema: dict[str, Any]) -> str:
    return str(schema.get("description", ""))


def command_line() -> str:
    [commands] = [action for action in _parser()._actions if isinstance(action, argparse._SubParsersAction)]
    told = {action.dest: action.help or "" for action in commands._choices_actions}
    parts = []
    for name, parser in commands.choices.items():
        if name not in told:
            continue
        help_ = told[name]
        parts.append(f"### {name}\n\n{help_[:1].upper()}{help_[1:]}.\n")
        actions = [action for action in parser._actions if action.help != argparse.SUPPRESS and action.dest != "help"]
        if actions:
            parts.append(table("argument | meaning", ((_argument(action), action.help or "") for action in actions)))
    return "\n".join(parts)


def mistakes() -> str:
    parts = []
    for kind_, rows in MISTAKES.items():
        shown = ((f"`{mistake}`", message) for mistake, message in rows.items())
        parts.append(f"### {kind_}\n\n{table('mistake | message', shown)}")
    return "\n".join(parts)


def _argument(action: argparse.Action) -> str:
    names = ", ".join(f"`{name}`" for name in action.option_strings) or f"`{action.metavar or action.dest}`"
    choices = ", ".join(f"`{choice}`" for choice in action.choices or ())
    return (
        names
        + (f": {choices}" if choices else "")
        + (" (required)" if action.option_strings and action.required else "")
    )


PARTS: Final[dict[str, Callable[[], str]]] = {
    "settings": settings,
    "errors": errors,
    "metrics": metrics,
    "http_api": http_api,
    "binary_headers": binary_headers,
    "command_line": command_line,
    "mistakes": mistakes,
}


def written(text: str) -> str:
    """A page with its generated parts as they should be."""
    return PART.sub(lambda found: f"{found[1]}\n{PARTS[found[2]]()}\n{found[3]}", text)


def pages() -> list[Path]:
    """Those with generated parts."""
    return [page for page in sorted(FOLDER.glob("**/*.md")) if PART.search(page.read_text("utf-8"))]


if __name__ == "__main__":
    for page in pages():
        page.write_text(written(page.read_text("utf-8")), encoding="utf-8")
