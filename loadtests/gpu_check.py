"""The torch backend on a GPU, told in minutes: does it make the vectors that the CPU makes, and how fast is it?

Run: `python3 -m loadtests.gpu_check [--out FOLDER] [--seconds 420]` from the repository's root, with the machine's own
Python: torch, transformers, safetensors and numpy; no network, no Ray, no pydantic. Models have the published sizes
and random weights, which cost what trained ones cost. Writes `gpu_check.json` and `gpu_check.md`. Without a GPU it
goes the same way with small models, to show that it works: such figures say nothing.
"""

import argparse
import gc
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

try:
    import numpy as np
    import torch
    import transformers
    from numpy.typing import NDArray
    from transformers import AutoModel, BertConfig, CLIPConfig, CLIPModel, PreTrainedConfig, Qwen3Config

    from app.encoders.backends import torch_runner
    from app.encoders.backends.contract import Graph, Inputs, RunOptions
    from app.encoders.steps import Step
except ImportError as error:
    sys.exit(f"gpu_check needs torch, transformers, safetensors and numpy: {error}")

HAS_GPU = torch.cuda.is_available()
LEAST_COSINE = 0.999  # of half precision on the GPU to float32 on the CPU, row by row
NORMALIZED = (Step("Normalize"),)
REPEATS = 7


@dataclass(frozen=True)
class Model:
    """`batches`: (rows, tokens) of texts, or (rows, 0) of images."""

    name: str
    config: PreTrainedConfig
    pooling: tuple[str, ...]
    dimensions: int
    batches: tuple[tuple[int, int], ...]
    image_size: int = 0

    def graph(self, folder: Path) -> Graph:
        return Graph(
            directory=str(folder),
            folder=str(folder),
            weights="random",
            encoder="clip_image" if self.image_size else "text",
            dimensions=self.dimensions,
            pooling=self.pooling,
            steps=NORMALIZED,
            image_size=(self.image_size, self.image_size),
            max_tokens=512,
        )

    def inputs(self, rows: int, tokens: int, *, ragged: bool = False) -> Inputs:
        """The same for the same sizes. `ragged`: rows of many lengths, padded."""
        drawn = np.random.default_rng(rows + tokens)
        if self.image_size:
            return (drawn.standard_normal((rows, 3, self.image_size, self.image_size), np.float32),)
        ids = drawn.integers(5, self.config.vocab_size, (rows, tokens), np.int32)
        lengths = drawn.integers(1, tokens + 1, rows) if ragged else np.full(rows, tokens)
        mask = (np.arange(tokens) < lengths[:, None]).astype(np.int32)
        return ids * mask, mask


def bert(layers: int, hidden: int) -> PreTrainedConfig:
    return BertConfig(
        num_hidden_layers=layers,
        hidden_size=hidden,
        intermediate_size=4 * hidden,
        num_attention_heads=hidden // (32 if hidden < 768 else 64),
    )


def clip(layers: int, width: int, patch: int, projection: int) -> PreTrainedConfig:
    vision = {"num_hidden_layers": layers, "hidden_size": width, "intermediate_size": 4 * width, "patch_size": patch}
    return CLIPConfig(
        vision_config=vision | {"num_attention_heads": width // 64, "projection_dim": projection},
        text_config={"num_hidden_layers": 1, "hidden_size": 64, "intermediate_size": 64, "num_attention_heads": 1},
        projection_dim=projection,
    )


def decoder(layers: int, hidden: int, vocabulary: int) -> PreTrainedConfig:
    return Qwen3Config(
        num_hidden_layers=layers,
        hidden_size=hidden,
        intermediate_size=3 * hidden,
        num_attention_heads=hidden // 64,
        num_key_value_heads=hidden // 128,
        head_dim=128,
        vocab_size=vocabulary,
        use_cache=False,
    )


TEXTS = ((1, 16), (1, 128), (32, 16), (32, 128), (128, 128), (32, 512))
MODELS = (
    Model("MiniLM-L6", bert(6, 384), ("mean",), 384, TEXTS),
    Model("bge-base", bert(12, 768), ("cls",), 768, TEXTS),
    Model("0.6B decoder", decoder(28, 1024, 151_669), ("lasttoken",), 1024, TEXTS),
    Model("CLIP ViT-B/32", clip(12, 768, 32, 512), (), 512, ((1, 0), (32, 0), (128, 0)), 224),
    Model("CLIP ViT-L/14", clip(24, 1024, 14, 768), (), 768, ((1, 0), (32, 0), (128, 0)), 224),
)
SMALL = (
    Model("MiniLM-L2", bert(2, 384), ("mean",), 384, ((1, 16), (4, 32))),
    Model("small decoder", decoder(2, 256, 1000), ("lasttoken",), 256, ((1, 16), (4, 32))),
    Model("small CLIP", clip(1, 64, 32, 32), (), 32, ((1, 0), (2, 0)), 224),
)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", ".")), help="folder of the results")
    parser.add_argument("--seconds", type=float, default=420, help="no model is begun after so many")
    given = parser.parse_args(arguments)
    ends = time.monotonic() + given.seconds
    found: dict[str, Any] = {"machine": machine(), "models": []}
    for model in MODELS if HAS_GPU else SMALL:
        if time.monotonic() > ends:
            found["models"].append({"model": model.name, "left_out": "no time was left"})
            continue
        with tempfile.TemporaryDirectory() as scratch:
            found["models"].append(checked(model, Path(scratch)))
        print(markdown({**found, "models": found["models"][-1:]}), flush=True)
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "gpu_check.json").write_text(json.dumps(found, indent=1))
    (given.out / "gpu_check.md").write_text(markdown(found))
    return int(any(cosine < LEAST_COSINE for one in found["models"] for cosine in one.get("cosines", {}).values()))


def machine() -> dict[str, str]:
    name = torch.cuda.get_device_name() if HAS_GPU else "no GPU: a trial on the CPU"
    return {"device": name, "torch": torch.__version__, "transformers": transformers.__version__}


def checked(model: Model, folder: Path) -> dict[str, Any]:
    """One model's results; a failure is one of them."""
    torch.manual_seed(0)
    make: Any = CLIPModel if model.image_size else AutoModel.from_config
    make(model.config).save_pretrained(folder)
    graph = model.graph(folder)
    right = rows_of(runner(graph, "cpu", "f32"), model)
    told: dict[str, Any] = {"model": model.name, "cosines": {}, "speed": [], "errors": []}
    for precision in ("bf16", "f16") if HAS_GPU else ("bf16",):
        try:
            with clean():
                began = time.perf_counter()
                loaded = runner(graph, "auto", precision)
                told[f"{precision}_load_s"] = round(time.perf_counter() - began, 2)
                cosines = (right * rows_of(loaded, model)).sum(1)
                told["cosines"][precision] = float(np.nan_to_num(cosines, nan=-1.0).min())
                if precision == "bf16":
                    told["speed"] = [speed(loaded, model, rows, tokens) for rows, tokens in model.batches]
                    told["memory_mb"] = torch.cuda.max_memory_allocated() / 1e6 if HAS_GPU else None
        except Exception as error:  # noqa: BLE001 - the others are still worth knowing
            told["errors"].append(f"{precision}: {error!r}"[:300])
    return told


def runner(graph: Graph, device: str, precision: str) -> torch_runner.TorchRunner:
    return torch_runner.load(graph, RunOptions(os.cpu_count() or 1, precision, device, Path(graph.directory)))


def rows_of(loaded: torch_runner.TorchRunner, model: Model) -> NDArray[np.float32]:
    """Unit vectors of rows of many lengths."""
    sizes = ((4, 0),) if model.image_size else ((8, 16), (4, 64))
    rows: NDArray[np.float32] = np.concatenate([loaded(*model.inputs(*size, ragged=True)) for size in sizes])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def speed(loaded: torch_runner.TorchRunner, model: Model, rows: int, tokens: int) -> dict[str, Any]:
    """Milliseconds: as served; plain transformers, the same tensors there already; as served, with CUDA graphs."""
    inputs = model.inputs(rows, tokens)
    # Parts of the served graph, as a notebook would call them: no pooling, no copies to and fro.
    module: Any = loaded._module  # noqa: SLF001
    tensors = [torch.from_numpy(array).to(loaded.device) for array in inputs]
    tensors = [one.to(torch.bfloat16) if one.is_floating_point() else one for one in tensors]
    inner = module.model.vision_model if model.image_size else module.transformer
    told = {"rows": rows, "tokens": tokens, "served_ms": timed(lambda: loaded(*inputs))}
    told["plain_ms"] = timed(lambda: inner(*tensors))
    if HAS_GPU and rows <= 32:
        compiled: Any = torch.compile(module, mode="reduce-overhead", dynamic=False)
        with suppress(Exception):
            began = time.perf_counter()
            told["compiled_ms"] = timed(lambda: compiled(*tensors).float().cpu())
            told["compile_s"] = round(time.perf_counter() - began, 1)
    told["per_s"] = rows * (tokens or 1) / told["served_ms"] * 1e3
    return told


def timed(work: Callable[[], Any]) -> float:
    """The median milliseconds of a call, after two."""
    times = []
    with torch.inference_mode():
        for number in range(REPEATS + 2):
            began = time.perf_counter()
            work()
            if HAS_GPU:
                torch.cuda.synchronize()
            if number > 1:
                times.append((time.perf_counter() - began) * 1e3)
    return statistics.median(times)


class clean:  # noqa: N801 - a context, as contextlib's are
    """What a model took on the GPU is given back, and the next one's peak is its own."""

    def __enter__(self) -> None:
        if HAS_GPU:
            torch.cuda.reset_peak_memory_stats()

    def __exit__(self, *_: object) -> None:
        gc.collect()
        if HAS_GPU:
            torch._dynamo.reset()  # noqa: SLF001
            torch.cuda.empty_cache()


def markdown(found: dict[str, Any]) -> str:
    return "\n".join(_lines(found)) + "\n"


def _lines(found: dict[str, Any]) -> Iterator[str]:
    yield f"{', '.join(found['machine'].values())}: bf16, medians of {REPEATS} calls; plain: transformers alone\n"
    yield "| model | rows x tokens | served ms | plain ms | torch.compile ms (s to compile) | tokens or images/s |"
    yield "|---|---|---|---|---|---|"
    for one in found["models"]:
        for row in one.get("speed", ()):
            compiled = f"{row['compiled_ms']:.2f} ({row['compile_s']})" if "compile_s" in row else ""
            size = f"{row['rows']} x {row['tokens']}" if row["tokens"] else f"{row['rows']} images"
            yield (
                f"| {one['model']} | {size} | {row['served_ms']:.2f} | {row['plain_ms']:.2f} | {compiled} "
                f"| {row['per_s']:,.0f} |"
            )
    yield f"\nLeast cosine to float32 on the CPU ({LEAST_COSINE} is asked), memory, and what failed:\n"
    for one in found["models"]:
        cosines = ", ".join(f"{name} {cosine:.5f}" for name, cosine in one.get("cosines", {}).items())
        memory = f"; {one['memory_mb']:,.0f} MB" if one.get("memory_mb") else ""
        failed = "".join(f"; {error}" for error in one.get("errors", ()))
        yield f"- {one['model']}: {one.get('left_out') or cosines}{memory}{failed}"


if __name__ == "__main__":
    sys.exit(main())
