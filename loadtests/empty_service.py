"""A service of as many deployments and named actors as ours that do nothing: what Ray and Serve take by themselves,
behind the same HAProxy, with the same flags and health checks as often.
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

from app.config.args import Placement
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
        self.actors = [ray.remote(Nothing).options(name=name, num_cpus=0).remote() for name in ACTORS]
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
    period_s = Placement().health_check_period_s
    options = {"num_replicas": 1, "ray_actor_options": {"num_cpus": 0.3}, "health_check_period_s": period_s}
    others = [serve.deployment(Nothing, name=name, **options).bind() for name in OTHERS]
    application: Any = serve.deployment(Ingress, **options).bind(*others)
    local.run(application, LaunchSettings(host="127.0.0.1", port=port))
