"""Users for locust: who asks for what, how often. Shapes are `load_shapes`'s, thresholds `load_verdict`'s.

    locust -f loadtests/locustfile.py --host http://127.0.0.1:3000 SearchUser
    locust -f loadtests/locustfile.py --host … --headless --shape step --most-users 200 --length 120

`make load` does all of it. Without names of user classes all three run, mixed by their weights.
"""

import base64
import json
import os
import random
import urllib.request
import uuid
from argparse import ArgumentParser
from typing import Any

from locust import FastHttpUser, LoadTestShape, constant_pacing, events, task
from locust.env import Environment
from locust.runners import MasterRunner

from loadtests import workloads
from loadtests.load_shapes import SHAPES, users_at
from loadtests.load_verdict import Allowed, Seen

KNOWN = 2000
HITS = 0.8
INDEX_BATCH = 64
PICTURES = 16
# New to every cache, in whichever process they are made.
RUN = uuid.uuid4().hex[:8]

KNOWN_TEXTS = workloads.words(KNOWN, 6, seed=1)
_draws = random.Random(2).choices(range(KNOWN), [1 / (k + 1) for k in range(KNOWN)], k=100_000)
_pictures: list[str] = []
# Filled once the known texts are known: the shape's clock begins then. Workers of a master are not waited for.
_prepared: list[bool] = []


def _headers() -> dict[str, str]:
    key = os.environ.get("EMBEDDING_API_KEY")
    return {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})


class EmbeddingUser(FastHttpUser):
    """Posts JSON; an answer that is not 200 is a failure, and so is one without its vectors."""

    abstract = True

    def embed(self, path: str, body: dict[str, Any], items: int, name: str) -> None:
        with self.client.post(
            path, data=json.dumps(body), headers=_headers(), name=name, catch_response=True
        ) as answer:
            if answer.status_code != 200:
                answer.failure(f"{answer.status_code} {(answer.text or '')[:200]}")
            elif len(answer.json()["embeddings"]) != items:
                answer.failure(f"{len(answer.json()['embeddings'])} vectors for {items} items")


class SearchUser(EmbeddingUser):
    """Short questions, ten a second each: four of five are known ones, drawn by Zipf's law."""

    weight = 8
    wait_time = constant_pacing(0.1)

    @task
    def ask(self) -> None:
        known = random.random() < HITS
        text = KNOWN_TEXTS[random.choice(_draws)] if known else f"new question {RUN} {uuid.uuid4().hex[:12]}"
        self.embed("/embed/text", {"texts": [text]}, 1, "search")


class IndexUser(EmbeddingUser):
    """Passages that nobody has seen, 64 a request."""

    weight = 1
    wait_time = constant_pacing(1.0)

    @task
    def index(self) -> None:
        texts = [f"{RUN} {text}" for text in workloads.mid(INDEX_BATCH)]
        self.embed("/embed/text", {"texts": texts}, INDEX_BATCH, "index")


class ImageUser(EmbeddingUser):
    """One to three photographs a request, of a set of sixteen."""

    weight = 1
    wait_time = constant_pacing(0.5)

    @task
    def look(self) -> None:
        images = random.sample(_pictures, random.randint(1, 3))
        self.embed("/embed/image", {"images": images}, len(images), "images")


class ChosenShape(LoadTestShape):
    """The shape that `--shape` names."""

    use_common_options = False

    def tick(self) -> tuple[int, float] | None:
        if not _prepared:
            self.reset_time()
        options = self.runner.environment.parsed_options
        users = users_at(options.shape, self.get_run_time(), options.length, options.most_users)
        return None if users is None else (users, float(options.most_users))


@events.init_command_line_parser.add_listener
def _options(parser: ArgumentParser) -> None:
    parser.add_argument("--shape", choices=list(SHAPES), default="steady", help="how the users come and go")
    parser.add_argument("--most-users", type=int, default=20, help="at the highest")
    parser.add_argument("--length", type=float, default=60.0, help="seconds")
    parser.add_argument("--allow-failed", type=float, default=0.0, help="share of requests that may fail")
    parser.add_argument("--allow-p50-ms", type=float, default=float("inf"))
    parser.add_argument("--allow-p99-ms", type=float, default=float("inf"))
    parser.add_argument("--least-per-s", type=float, default=0.0, help="requests per second")


@events.test_start.add_listener
def _prepare(environment: Environment, **_: Any) -> None:
    """Pictures are drawn, and the known texts made known, before anybody is timed."""
    if isinstance(environment.runner, MasterRunner):
        _prepared.append(True)
        return
    if not _pictures:
        _pictures.extend(base64.b64encode(picture).decode() for picture in workloads.jpegs(PICTURES))
    for part in workloads.in_requests(KNOWN_TEXTS, 200):
        body = json.dumps({"texts": part}).encode()
        request = urllib.request.Request(f"{environment.host}/embed/text", body, _headers())  # noqa: S310 - the host
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - the host under test
            answer.read()
    _prepared.append(True)


@events.quitting.add_listener
def _judge(environment: Environment, **_: Any) -> None:
    """The exit code says whether every threshold was kept."""
    total, options = environment.stats.total, environment.parsed_options
    seen = Seen(
        total.num_requests,
        total.num_failures,
        total.get_response_time_percentile(0.5),
        total.get_response_time_percentile(0.99),
        total.total_rps,
    )
    allowed = Allowed(options.allow_failed, options.allow_p50_ms, options.allow_p99_ms, options.least_per_s)
    broken = allowed.broken_by(seen)
    for words in broken:
        print(f"FAILED: {words}", flush=True)
    environment.process_exit_code = 1 if broken else 0
