"""Reading `serve_config.yaml` as the local launcher does: the `args` of its one application."""

from pathlib import Path

import yaml
from pydantic import ValidationError

from app.config.settings import AppArgs


def read_args(path: Path) -> AppArgs:
    """The application's arguments; the defaults when the file names none. Raises ValueError if it is not a Serve config
    file, or an argument is unknown or of the wrong type."""
    try:
        data = yaml.safe_load(path.read_text()) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not valid YAML: {error}") from None
    try:
        args = data["applications"][0].get("args") or {}
    except (KeyError, IndexError, TypeError, AttributeError):
        raise ValueError(f"{path} is not a Serve config file: it has no `applications`") from None
    try:
        return AppArgs.model_validate(args)
    except ValidationError as error:
        raise ValueError(f"{path}: {error}") from None
