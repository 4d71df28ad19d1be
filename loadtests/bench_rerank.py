"""Reranking: this service, `CrossEncoder.predict` and Infinity on the same random cross-encoders, in turns. Run:
`make bench-rerank`. Infinity is there where `make bench-peers` has installed it. Pairs are all distinct."""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from loadtests import autogroup, workloads
from loadtests.measuring import drive, load
from loadtests.peer import ENVIRONMENT
from loadtests.systems import infinity, machine, this_service, write_results

SIZES = {
    "tiny": {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128},
    "minilm": {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536},
}
DOCUMENTS = 8
Measure = Callable[[list[tuple[str, list[str]]]], dict[str, float]]


def written(folder: Path, size: str) -> Path:
    """A random cross-encoder with MiniLM's tokenizer."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    from app.encoders.weights import resolve

    torch.manual_seed(11)
    config = BertConfig(vocab_size=30522, num_labels=1, **SIZES[size])
    BertForSequenceClassification(config).save_pretrained(folder)
    for file in resolve("all-MiniLM-L6-v2", None, True).directory.glob("*token*"):
        shutil.copy(file, folder)
    return folder


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
            folder = written(Path(scratch, size), size)
            models = [{"id": str(folder), "precision": asked.precision, "cache_dir": f"{scratch}/cache"}]
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
