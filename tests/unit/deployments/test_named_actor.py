"""Where `deployments.named_actor` puts an actor. The imports of Ray warn, and warnings are errors here."""

import warnings
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from deployments.named_actor import HEAD, NODE_ID, _where


def node(id_: str, resource: str = "CPU", *, alive: bool = True) -> dict[str, Any]:
    return {"NodeID": id_, "Alive": alive, "Resources": {resource: 1.0}}


def head(id_: str = "h") -> dict[str, Any]:
    return node(id_, HEAD)


def chosen(nodes: list[dict[str, Any]], place: int = 0) -> tuple[str, str]:
    """(where it may go when its node is gone, its node)."""
    options = _where(nodes, place)
    [elsewhere] = options["fallback_strategy"]
    return elsewhere["label_selector"][NODE_ID], options["label_selector"][NODE_ID]


def test_a_lone_node_takes_it() -> None:
    assert _where([head()], 0) == {}
    assert _where([head(), node("w", alive=False)], 0) == {}


def test_not_the_head_and_rather_without_a_gpu() -> None:
    nodes = [head(), node("g", "GPU"), node("w")]
    assert chosen(nodes) == ("!in(h)", "w")
    assert chosen(nodes[:2]) == ("!in(h)", "g")


def test_several_are_spread() -> None:
    nodes = [head(), node("b"), node("a"), node("g", "GPU")]
    assert [chosen(nodes, place)[1] for place in range(3)] == ["a", "b", "a"]
