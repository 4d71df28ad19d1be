"""The page of metrics as Prometheus reads it."""

import httpx
from prometheus_client.parser import text_string_to_metric_families

from loadtests.running import RunningService, wait_for
from tests.support import web

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples_of(answer: httpx.Response) -> Samples:
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = list(text_string_to_metric_families(answer.text))
    assert len({family.name for family in families}) == len(families)
    found: Samples = {}
    for family in families:
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found
            found[key] = sample.value
    return found


def of(samples: Samples, name: str) -> dict[tuple[str, ...], float]:
    """By label values, the labels in the order of their names."""
    return {tuple(value for _, value in labels): count for (known, labels), count in samples.items() if known == name}


def scrape(service: RunningService) -> tuple[str, Samples]:
    """The replica that answered, and everybody's counts: a machine that is too busy to collect them in a second says
    that they are not all."""

    def whole() -> tuple[str, Samples] | None:
        # A connection of its own, so that HAProxy chooses the replica anew.
        answer = web.get(f"{service.url}/metrics", timeout=300)
        samples = samples_of(answer)
        is_whole = of(samples, "embedding_metrics_complete") == {(): 1} and of(samples, "embedding_replicas")
        return (answer.headers["x-served-by"], samples) if is_whole else None

    found: tuple[str, Samples] = wait_for(whole, what="the counts of the whole cluster")
    return found


def batches_of(service: RunningService) -> tuple[int, int]:
    """Items that MiniLM has run so far, and in how many batches."""
    samples = scrape(service)[1]
    items, batches = (of(samples, f"embedding_batch_size_{name}").get((MINILM,), 0) for name in ("sum", "count"))
    return int(items), int(batches)
