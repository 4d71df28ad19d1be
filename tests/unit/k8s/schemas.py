"""Schemas of the custom resources, and what an API server would say of an object."""

import json
from functools import cache
from typing import Any

import jsonschema
import kubernetes_validate

from tests.unit.k8s.manifests import ROOT, Manifest

KUBERNETES = "1.35"
CRDS = ROOT / "tests/unit/k8s/crd"


def _strict(schema: Any) -> Any:
    """The schema, refusing what it doesn't list. The API server only drops such fields, so a typo goes unseen."""
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {name: _strict(value) for name, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and "additionalProperties" not in schema:
        result["additionalProperties"] = False
    if schema.get("x-kubernetes-int-or-string"):
        # Quantities and ports are either; the CRD says so beside its pattern, in words of its own.
        return {"type": ["integer", "string"]}
    return result


@cache
def schemas() -> dict[tuple[str, str], jsonschema.Draft202012Validator]:
    """By apiVersion and kind."""
    found = {}
    for path in sorted(CRDS.glob("*.json")):
        crd = json.loads(path.read_text())
        schema = _strict(crd["schema"])
        # A CRD leaves this one to the API server.
        schema["properties"]["metadata"] = {"type": "object"}
        found[f"{crd['group']}/{crd['version']}", crd["kind"]] = jsonschema.Draft202012Validator(schema)
    return found


def complaints(manifest: Manifest) -> list[str]:
    schema = schemas()[manifest["apiVersion"], manifest["kind"]]
    return [f"{error.json_path}: {error.message}" for error in schema.iter_errors(manifest)]


def check(manifests: tuple[Manifest, ...]) -> None:
    for manifest in manifests:
        if (manifest["apiVersion"], manifest["kind"]) in schemas():
            assert complaints(manifest) == [], manifest["kind"]
        else:
            kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
