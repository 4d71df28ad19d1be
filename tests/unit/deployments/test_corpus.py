"""`deployments.corpus` without a Ray: whether any node could have a worker."""

from typing import Any

import pytest

from deployments import corpus


@pytest.mark.parametrize(
    ("cpus", "gpus", "words"),
    [
        (2, 0, None),
        (4, 1, None),
        (8, 0, "No node has 8 CPUs and 0 GPUs for a worker. There is: 2 CPUs and 0 GPUs, 4 CPUs and 1 GPUs."),
        (1, 64, "No node has 1 CPUs and 64 GPUs for a worker. There is: 2 CPUs and 0 GPUs, 4 CPUs and 1 GPUs."),
    ],
)
def test_what_no_node_has_is_told_with_what_there_is(
    cpus: float, gpus: float, words: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes: list[dict[str, Any]] = [
        {"Alive": True, "Resources": {"CPU": 2.0}},
        {"Alive": True, "Resources": {"CPU": 4.0, "GPU": 1.0}},
        {"Alive": True, "Resources": {}},
        {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 64.0}},
    ]
    monkeypatch.setattr(corpus.ray, "nodes", lambda: nodes[:2] + nodes[3:])  # type: ignore[attr-defined]
    assert corpus.lacking(cpus, gpus) == words
    monkeypatch.setattr(corpus.ray, "nodes", lambda: nodes[3:])  # type: ignore[attr-defined]
    assert corpus.lacking(1, 0) == "No node has 1 CPUs and 0 GPUs for a worker. There is: no node."
