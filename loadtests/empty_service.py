"""A service of as many deployments and named actors as ours that do nothing: what Ray and Serve take by themselves,
behind the same HAProxy and with the same flags.
"""

import argparse
from typing import Any

import ray
from ray import serve
from ray.serve.handle import DeploymentHandle
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from app.config.settings import LaunchSettings
from deployments import local

# Beside the ingress: a text and an image encoder, and the similarity deployment.
OTHERS = ("Text", "Image", "Similarity")
# The cache's and the metrics'.
ACTORS = ("cache", "metrics")


class Nothing:
    def __call__(self) -> None:
        """Only to be called once."""


@serve.ingress()
class Ingress:
    """Healthy once it has called each of the others, as ours does."""

    def __init__(self, *others: DeploymentHandle) -> None:
        actor = ray.remote(Nothing).options(num_cpus=0)
        self.actors = [actor.options(name=name).remote() for name in ACTORS]
        self.others = others

    async def health(self, request: Request) -> PlainTextResponse:
        for other in self.others:
            await other.remote()
        return PlainTextResponse("ok")

    def __serve_build_asgi_app__(self) -> Any:
        return Starlette(routes=[Route("/health", self.health)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    port: int = parser.parse_args().port
    options: dict[str, Any] = {"num_replicas": 1, "ray_actor_options": {"num_cpus": 0.3}}
    others = [serve.deployment(Nothing, name=name, **options).bind() for name in OTHERS]
    application: Any = serve.deployment(Ingress, **options).bind(*others)
    local.run(application, LaunchSettings(host="127.0.0.1", port=port))
