"""The page of metrics as Prometheus reads it, and the counts on the page of health."""

import httpx
from prometheus_client.parser import text_string_to_metric_families

from loadtests.running import RunningService

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


def batches_of(service: RunningService) -> tuple[int, int]:
    model = httpx.get(f"{service.url}/health").json()["details"][0]
    return model["items"], model["batches"]
