"""Reranking: this service, `CrossEncoder.predict` and Infinity on the same random cross-encoders, in turns. Run:
`make bench-rerank`. Infinity is there where `make bench-peers` has installed it. Pairs are all distinct."""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from loadtests import autogroup, bert_weights, workloads
from loadtests.measuring import drive, load
from loadtests.peer import ENVIRONMENT
from loadtests.systems import infinity, machine, this_service, write_results

# Tokens of one run: as an operator sets them for a model whose runs take a millisecond, and the default.
SIZES = {"tiny": 4096, "minilm": 1024}
DOCUMENTS = 8
Measure = Callable[[list[tuple[str, list[str]]]], dict[str, float]]


def over_http(port: int, path: str, model: str, clients: int) -> Measure:
    def measure(asked: list[tuple[str, list[str]]]) -> dict[str, float]:
        bodies = [workloads.body(model=model, query=query, documents=texts) for query, texts in asked]
        run = drive(port, path, bodies, clients)
        return {"pairs_per_s": run.per_s * DOCUMENTS, "p50": run.ms(50), "p99": run.ms(99)}

    return measure


def in_process(folder: Path) -> Measure:
    from sentence_transformers import CrossEncoder

    model = CrossEncoder(str(folder), device="cpu")

    def measure(asked: list[tuple[str, list[str]]]) -> dict[str, float]:
        began = time.perf_counter()
        model.predict([(query, text) for query, texts in asked for text in texts])
        return {"pairs_per_s": len(asked) * DOCUMENTS / (time.perf_counter() - began)}

    return measure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", default=[*SIZES], choices=[*SIZES])
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--precision", default="auto", help="of this service: auto, f32 or bf16")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("results.json"))
    asked = parser.parse_args()
    figures: dict[str, Any] = {"machine": machine(), "load": load(), "precision": asked.precision}
    for size in asked.sizes:
        with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack, autogroup.off():
            folder = bert_weights.write(Path(scratch, size), size, "BertForSequenceClassification", num_labels=1)
            how = {"precision": asked.precision, "batch_tokens": SIZES[size], "cache_dir": f"{scratch}/cache"}
            models = [{"id": str(folder)} | how]
            ours = stack.enter_context(this_service(rerank_models=models))
            systems: dict[str, Measure] = {
                "ours": over_http(ours.port, "/rerank", size, asked.clients),
                "predict": in_process(folder),
            }
            if ENVIRONMENT.exists():
                peer = stack.enter_context(infinity(ENVIRONMENT / "bin/python", folder, None, "torch"))
                systems["infinity"] = over_http(peer.port, "/rerank", size, asked.clients)
            runs: dict[str, list[dict[str, float]]] = {name: [] for name in systems}
            for turn in range(-1, asked.turns):  # the first is to warm up
                for name, measure in systems.items():
                    texts = workloads.mid(asked.requests * (1 + DOCUMENTS))
                    parts = [texts[i :: asked.requests] for i in range(asked.requests)]
                    found = measure([(query, documents) for query, *documents in parts])
                    runs[name] += [found] if turn >= 0 else []
        figures[size] = {
            name: {key: round(statistics.median(run[key] for run in of), 2) for key in of[0]}
            for name, of in runs.items()
        }
        sys.stdout.write(f"{size}: {figures[size]}\n")
    write_results(asked.out, "rerank", figures)


if __name__ == "__main__":
    main()
