"""A service whose model only sleeps: what the road to the model costs, on a machine too small for many models.

Not a model: every vector is the same. Each micro-batch of at most BATCH texts takes SECONDS, whatever is in it.
"""

import argparse
import json
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import ray
from ray import serve
from ray.serve import Application

from app.config.args import Autoscaling, CacheArgs, Limits, ModelArgs, Placement
from app.config.settings import AppArgs, LaunchSettings
from app.encoders import shapes
from app.main import called_options, options
from app.types import ModelInfo, TextInput, Token, TokenizedText, Vector
from deployments import local
from deployments.ingress import Ingress
from deployments.similarity import Similarity
from deployments.text_encoder import TextEncoder

NAME = "stand-in"
SECONDS = 0.4
BATCH = 32
DIMENSIONS = 384
# Requests under way per ingress replica from which another one is wanted.
INGRESS_BUSY = 24.0
WATCH_S = 0.2


class SleepingModel:
    """In a `TextModel`'s place."""

    streams = 1
    lengths = shapes.lengths(256)
    profiles = (False,)

    info = ModelInfo(
        id=NAME,
        fingerprint=NAME,
        dimensions=DIMENSIONS,
        max_tokens=256,
        kinds=("text",),
        backend=NAME,
        precision="f32",
        device="cpu",
        note="a stand-in that sleeps: its vectors mean nothing",
    )

    def tokenize(self, texts: Sequence[str], prompt: str | None = None) -> list[TokenizedText]:
        return [TokenizedText(ids=[0] * 24, truncated=False) for _ in texts]

    def read(self, inputs: Sequence[TextInput]) -> list[TokenizedText]:
        return self.tokenize([""] * len(inputs))

    def tokens(self, texts: Sequence[str], prompt: str | None, special: bool) -> list[list[Token]]:
        return [[] for _ in texts]

    def run(self, batch: Sequence[Any], *, exclusive: bool = False) -> Vector:
        time.sleep(SECONDS)
        return np.full((len(batch), DIMENSIONS), DIMENSIONS**-0.5, np.float32)

    def warm(self, shapes: Sequence[tuple[int, int]]) -> None:
        pass


class StandIn(TextEncoder):
    def _load(self, args: ModelArgs, threads: int, offline: bool) -> Any:
        return SleepingModel()


def build(
    replicas: int,
    ingresses: int,
    most: int | None = None,
    most_ingresses: int | None = None,
    delay_s: float = 1.0,
    gpus: float = 0.0,
    beside: dict[str, float] | None = None,
    **settings: Any,
) -> Application:
    """The application; `most` and `most_ingresses` let it scale, `delay_s` is how soon. `gpus` are
    an encoder's, `beside` the resources of all that is no encoder. `settings` are `AppArgs`'s."""
    placement = {"num_cpus": 0.01}
    model = ModelArgs(
        id=NAME,
        batch_size=BATCH,
        autoscaling=_between(replicas, most, delay_s),
        num_gpus=gpus,
        **placement,
    )
    ingress = Placement(
        autoscaling=_between(ingresses, most_ingresses, delay_s, busy=INGRESS_BUSY),
        max_ongoing_requests=4096,
        resources=beside or {},
        **placement,
    )
    similar = Placement(num_cpus=0.2, resources=beside or {})
    args = AppArgs(text_models=(model,), image_models=(), ingress=ingress, similarity=similar, **settings)
    encoder = serve.deployment(StandIn, name=f"TextEncoder-{NAME}", **called_options(model)).bind(model, 1, True)
    similarity = serve.deployment(Similarity, name="Similarity", **called_options(args.similarity)).bind(args.limits)
    return serve.deployment(Ingress, name="Ingress", **options(ingress)).bind(
        args, {"text": {NAME: encoder}}, similarity
    )


def _between(least: int, most: int | None, delay_s: float, busy: float = 1.5) -> Autoscaling:
    return Autoscaling(
        min_replicas=least,
        max_replicas=most or least,
        target_ongoing_requests=busy,
        upscale_delay_s=delay_s,
        downscale_delay_s=delay_s,
        metrics_interval_s=min(1.0, delay_s),
        look_back_period_s=delay_s / 3,
    )


def watch(file: Path) -> None:
    """Write what Serve says of every deployment, whenever it says something else, as lines of JSON."""
    before: dict[str, Any] = {}
    with file.open("w") as lines:
        while True:
            for name, now in _said().items():
                if before.get(name) != now:
                    before[name] = now
                    lines.write(json.dumps({"time": time.time(), "deployment": name, **now}) + "\n")
                    lines.flush()
            time.sleep(WATCH_S)


def _said() -> dict[str, Any]:
    if not ray.is_initialized():  # asked before, Serve would start a Ray of its own
        return {}
    try:
        applications = serve.status().applications.values()
    except Exception:  # noqa: BLE001 - before Serve has begun, and after its end
        return {}
    return {
        name: {
            "status": deployment.status.value,
            "trigger": deployment.status_trigger.value,
            "message": deployment.message,
            "running": deployment.replica_states.get("RUNNING", 0),
        }
        for application in applications
        for name, deployment in application.deployments.items()
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicas", type=int, required=True)
    parser.add_argument("--ingresses", type=int, default=1)
    parser.add_argument("--most", type=int, help="encoder replicas; more than --replicas lets it scale")
    parser.add_argument("--most-ingresses", type=int)
    parser.add_argument("--delay-s", type=float, default=1.0, help="how long a load lasts until it scales")
    parser.add_argument("--queue-s", type=float, default=4.0, help="seconds of work that may wait")
    parser.add_argument("--shards", type=int, default=1, help="of the cache")
    parser.add_argument("--no-near", action="store_true", help="every look-up goes to the shared cache")
    parser.add_argument("--watch", type=Path, help="a file for what Serve says of its deployments")
    parser.add_argument("--port", type=int, required=True)
    chosen = parser.parse_args()
    if chosen.watch:
        threading.Thread(target=watch, args=(chosen.watch,), daemon=True).start()
    local.run(
        build(
            chosen.replicas,
            chosen.ingresses,
            chosen.most,
            chosen.most_ingresses,
            chosen.delay_s,
            limits=Limits(queue_s=chosen.queue_s),
            cache=CacheArgs(shards=chosen.shards, **({"near_max_bytes": 0} if chosen.no_near else {})),
        ),
        LaunchSettings(host="127.0.0.1", port=chosen.port),
    )
