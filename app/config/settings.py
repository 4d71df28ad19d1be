"""All settings together, and the only reader of the environment: `args:` of `serve_config.yaml` is validated into
`AppArgs`, and `with_environment` lays the owner's variables over it."""

import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import unquote

import yaml
from pydantic import BeforeValidator, Field, ModelWrapValidatorHandler, ValidationError, model_validator

from app.config import args, mistakes, serve_names
from app.config.args import DEFAULT_IMAGE_MODEL, Backup, ModelArgs, Placement, Settings
from app.config.model_names import ModelName, find
from app.errors import did_you_mean
from app.words import Kind

LOOPBACK = ("localhost", "127.0.0.1", "::1")
# The field and the variable that name the models of a kind.
MODELS: Final[dict[Kind, tuple[str, str]]] = {
    "text": ("text_models", "TEXT_MODEL"),
    "image": ("image_models", "IMAGE_MODEL"),
    "rerank": ("rerank_models", "RERANK_MODEL"),
    "sparse": ("sparse_models", "SPARSE_MODEL"),
    "token": ("token_models", "TOKEN_MODEL"),
}


def _one_or_many(value: Any) -> Any:
    # A model entry in YAML is a plain id or a mapping; both become mappings here.
    items = [value] if isinstance(value, (str, Mapping)) else value
    if isinstance(items, Sequence):
        return [{"id": item} if isinstance(item, str) else item for item in items]
    return items


Models = Annotated[tuple[ModelArgs, ...], BeforeValidator(_one_or_many)]


class AppArgs(Settings):
    """The one argument of `app.main:build`."""

    text_models: Models = (ModelArgs(id=args.DEFAULT_TEXT_MODEL),)
    image_models: Models = (ModelArgs(id=DEFAULT_IMAGE_MODEL),)
    rerank_models: Models = Field((), description="Rerankers and classifiers, in the same form (RERANK_MODEL).")
    sparse_models: Models = Field((), description="Sparse encoders, in the same form (SPARSE_MODEL).")
    token_models: Models = Field((), description="Text models served for their token vectors (TOKEN_MODEL).")
    text_fallback: str | None = Field(None, description="Backup text model, opt-in (TEXT_MODEL_FALLBACK).")
    image_fallback: str | None = Field(None, description="Backup image model, opt-in (IMAGE_MODEL_FALLBACK).")
    model_aliases: dict[str, str] = Field({}, description="Other names of served models (MODEL_ALIASES).")
    encoder: args.EncoderOptions = Field(args.EncoderOptions(), description="Options of models named by environment.")
    # The ingress reserves nothing, so that it can say what others wait for.
    ingress: Placement = Placement(num_cpus=0.0, max_ongoing_requests=2048)
    similarity: Placement = Placement(num_cpus=0.4)
    cache: args.CacheArgs = args.CacheArgs()
    limits: args.Limits = args.Limits()
    retries: args.RetryArgs = args.RetryArgs()
    auth: args.Auth | None = Field(None, description="Unset: required where there are keys, else off (AUTH).")
    access: args.AccessArgs = args.AccessArgs()
    cors_origins: tuple[str, ...] = Field((), description="Origins whose pages may call the service (CORS_ORIGINS).")
    log_requests: args.LogRequests = Field("errors", description="Which requests get a line in the log.")
    image_folder: str | None = Field(None, description="Folder that `./paths` may name; unset: none.")
    image_urls: args.ImageUrls = args.ImageUrls()
    tracing: args.TracingArgs = args.TracingArgs()
    serve_bypass: args.ServeBypass = Field(
        "auto",
        description="Past Serve where that can be: `off`, `require` or a list of rpc, middleware (SERVE_BYPASS).",
    )
    offline: bool = Field(False, description="Never ask the model hub.")
    shapes_clip_may_serve: bool = Field(False, description="Set by the local launcher; see docs/reference/models.md.")

    @model_validator(mode="wrap")
    @classmethod
    def _name_ours(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """A field of Serve's own name is refused with the name of ours."""
        try:
            return handler(data)
        except ValidationError as error:
            if said := serve_names.hint(error):
                raise ValueError(said) from None
            raise

    @property
    def asks_for_keys(self) -> bool:
        return self.auth == "required" or (self.auth is None and bool(self.access.keys or self.access.keys_file))

    def entry(self, id_: str, models: Sequence[ModelArgs]) -> ModelArgs:
        """The entry of the model that is named so, among `models`; else a new one with the common options."""
        named = (model for model in models if ModelName(model.id).means(ModelName(id_)))
        return next(named, None) or ModelArgs(id=id_, **self.encoder.model_dump())

    def models(self, *kinds: Kind) -> tuple[ModelArgs, ...]:
        """The models of these kinds; of all kinds where none is named."""
        return tuple(model for kind in kinds or MODELS for model in getattr(self, MODELS[kind][0]))

    def backup(self, kind: Kind, model: ModelArgs) -> "Backup | None":
        """What serves when `model` is not available; the other kinds have none."""
        return {"text": self.text_backup, "image": self.image_backup}.get(kind, lambda _: None)(model)

    def text_backup(self, model: ModelArgs) -> "Backup | None":
        """What serves when `model` is not available."""
        return _backup(model, self.text_fallback)

    def image_backup(self, model: ModelArgs) -> "Backup | None":
        """What serves when `model` is not available. The product's own small CLIP is a fallback for the default model
        only, for the local launcher only, and only if the user named no model."""
        if self.image_fallback is None and self.shapes_clip_may_serve and model.id == DEFAULT_IMAGE_MODEL:
            note = "shapes-clip, which only knows simple drawn shapes, serves in its place so that images work at all"
            return Backup(model=model.model_copy(update={"id": args.SHAPES_CLIP}), note=note)
        return _backup(model, self.image_fallback)

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """The `args` of `serve_config.yaml`'s one application. Raises ValueError if file or arguments are wrong."""
        try:
            data = yaml.safe_load(path.read_text()) or {}
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f"{mistakes.of_yaml_syntax(error)} in line {mark.line + 1 if mark else '?'}"
            raise ValueError(f"{path} is not valid YAML: {where}") from None
        try:
            given = data["applications"][0].get("args") or {}
        except (KeyError, IndexError, TypeError, AttributeError):
            raise ValueError(f"{path} is not a Serve config file: it has no `applications`") from None
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise ValueError(mistakes.of_yaml(error, cls, path)) from None

    def checked(self) -> Self:
        """`with_environment`, for a start. Raises ValueError in plain words, also for a name of two models or none."""
        try:
            args_ = self.with_environment()
        except ValidationError as error:
            raise ValueError(mistakes.of_variables(error)) from None
        names = [model.name for model in args_.models()]
        if twice := [model.id for model in args_.models() if names.count(model.name) > 1]:
            raise ValueError(f"two models have the same name: {', '.join(twice)}")
        backups = [ModelName(id_).public for id_ in (args_.text_fallback, args_.image_fallback) if id_]
        for alias, model in args_.model_aliases.items():
            if find(model, known := [*names, *backups]) is None:
                served = f"Served: {', '.join(known)}.{did_you_mean(model, known)}"
                raise ValueError(f"MODEL_ALIASES: {alias!r} stands for {model!r}, which is not served. {served}")
        return args_

    def with_environment(self, environ: Mapping[str, str] | None = None) -> Self:
        """The owner's variables over these values; an empty variable counts as unset."""
        env = {k: v for k, v in (os.environ if environ is None else environ).items() if v.strip()}
        data = self.model_dump()
        for path, variable in args.VARIABLES.items():
            part, _, field = path.rpartition(".")
            if variable in env and part != "tracing":
                (data[part] if part else data)[field] = env[variable]
        encoder = _given(env, batch_size="BATCH_SIZE", workers="MAX_WORKERS")
        for field, variable in MODELS.values():
            if variable in env:
                data[field] = [self.entry(id_, getattr(self, field)).model_dump() for id_ in _parts(env[variable])]
            data[field] = [model | encoder for model in data[field]]
        if "CORS_ORIGINS" in env:
            data["cors_origins"] = _parts(env["CORS_ORIGINS"])
        if "IMAGE_URL_HOSTS" in env:
            data["image_urls"]["hosts"] = _parts(env["IMAGE_URL_HOSTS"])
        if "MODEL_ALIASES" in env:
            pairs = [part.partition("=") for part in _parts(env["MODEL_ALIASES"])]
            # A part without "=" names no model, which is refused like any other wrong value.
            data["model_aliases"] = {name.strip(): model.strip() or None for name, _, model in pairs}
        data["tracing"] |= _tracing(env)
        if env.get("HF_HUB_OFFLINE", "").lower() in {"1", "true", "yes", "on"}:
            data["offline"] = True
        return type(self).model_validate(data)


def _given(env: Mapping[str, str], **variables: str) -> dict[str, Any]:
    """By field, the values of those variables that are set."""
    return {field: env[variable] for field, variable in variables.items() if variable in env}


def _parts(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


def _tracing(env: Mapping[str, str]) -> dict[str, Any]:
    if env.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return {"endpoint": None}
    stripped = {variable: value.strip() for variable, value in env.items()}
    given = _given(
        stripped,
        endpoint="OTEL_EXPORTER_OTLP_ENDPOINT",
        sample="OTEL_TRACES_SAMPLER_ARG",
        service_name="OTEL_SERVICE_NAME",
    )
    if "OTEL_EXPORTER_OTLP_HEADERS" in env:
        pairs = [part.partition("=") for part in _parts(env["OTEL_EXPORTER_OTLP_HEADERS"])]
        given["headers"] = {name.strip(): unquote(value.strip()) for name, _, value in pairs}
    return given


def _backup(model: ModelArgs, id_: str | None) -> Backup | None:
    if id_ is None or (name := ModelName(id_)).means(ModelName(model.id)):
        return None
    return Backup(model=model.model_copy(update={"id": id_}), note=f"the backup {name.public} serves in its place")


def image_model_is_chosen(environ: Mapping[str, str] | None = None) -> bool:
    """Whether the user named an image model in the environment."""
    return bool((os.environ if environ is None else environ).get("IMAGE_MODEL", "").strip())


def hub_cache() -> Path:
    """Where huggingface_hub keeps downloads; its own variables decide."""
    home = Path(os.environ.get("HF_HOME", Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "huggingface"))
    return Path(os.environ.get("HF_HUB_CACHE", home / "hub")).expanduser()


def baked_models() -> Path | None:
    """A folder of converted models that came with the image; read first, never written (CONVERTED_MODELS)."""
    name = os.environ.get("CONVERTED_MODELS", "").strip()
    return Path(name) if name else None


def converted_models() -> Path:
    """Default folder for converted models, safe to delete at any time."""
    base = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    return base / "ray-embedding-service" / "converted"


def _plain_host(value: str) -> str:
    """[::1] without the brackets of a URL; 0 and 127.1 as the address that the system reads in them."""
    host = value.strip().lower().removeprefix("[").removesuffix("]")
    with suppress(OSError):  # it reads no further than a space
        return socket.inet_ntoa(socket.inet_aton(host)) if host.split() == [host] else host
    return host


class LaunchSettings(Settings):
    """Where the local launcher serves."""

    host: Annotated[str, BeforeValidator(_plain_host)] = Field("127.0.0.1", pattern=r"^[A-Za-z0-9.:_-]+$")
    port: int = Field(3000, ge=1, le=65535)
    allow_anonymous: bool = Field(False, description="Serve other machines without keys.")
    log_format: Literal["text", "json"] = Field("text", description="Of the replicas' logs (LOG_FORMAT).")

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it. A name other than localhost might be any address."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def listens_at(self) -> str:
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def url(self) -> str:
        """Where this machine reaches it."""
        with suppress(ValueError):
            if ip_address(self.host).is_unspecified:
                return f"http://127.0.0.1:{self.port}"
        return f"http://{self.listens_at}"

    @classmethod
    def from_environment(cls) -> Self:
        env = {name: value for name, value in os.environ.items() if value.strip()}
        given = _given(env, host="HOST", port="PORT", log_format="LOG_FORMAT", allow_anonymous="ALLOW_ANONYMOUS")
        return cls.model_validate(given)


class ClientSettings(Settings):
    """Which service the commands `embed` and `search` ask (EMBEDDING_URL, EMBEDDING_API_KEY)."""

    url: str
    api_key: str | None = Field(None, repr=False)

    @classmethod
    def from_environment(cls) -> Self:
        """Without an address: the service that `make serve` would start here."""
        url = os.environ.get("EMBEDDING_URL", "").strip() or LaunchSettings.from_environment().url
        return cls(url=url, api_key=os.environ.get("EMBEDDING_API_KEY", "").strip() or None)


def steps_file() -> Path | None:
    """Where the launcher reads what a start does (EMBEDDING_STEPS)."""
    name = os.environ.get("EMBEDDING_STEPS")
    return Path(name) if name else None


def process_environment() -> dict[str, str]:
    """A copy of this process's variables, for a child process."""
    return dict(os.environ)


def without_proxies(env: Mapping[str, str]) -> dict[str, str]:
    """Variables that lead loopback past any proxy, and gRPC, whose calls stay in the cluster, past all of them."""
    # As Python's own reading: the lower case goes first.
    names = [name.strip() for name in (env.get("no_proxy") or env.get("NO_PROXY") or "").split(",") if name.strip()]
    # `*` means every host only where it stands alone.
    listed = "*" if names == ["*"] else ",".join([*names, *(name for name in LOOPBACK if name not in names)])
    return {"no_proxy": listed, "NO_PROXY": listed, "grpc_proxy": ""}


def lead_past_proxies() -> None:
    """The same for this process."""
    os.environ.update(without_proxies(os.environ))


def ray_uses_tls() -> bool:
    """Whether Ray's own connections are encrypted, as Ray reads its variable."""
    return os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true")
