"""What holds for every backend."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from app.config.args import ModelArgs
from app.encoders import self_test, shapes
from app.encoders.backends import openvino_runner
from app.encoders.text import TextModel, load_text_model
from app.types import Vector

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")


def encode(model: TextModel, texts: list[str]) -> Vector:
    return model.run([text.ids for text in model.tokenize(texts)])


def test_info_says_what_the_model_is(minilm: TextModel) -> None:
    info = minilm.info
    assert info.id == "sentence-transformers/all-MiniLM-L6-v2"
    assert (info.dimensions, info.max_tokens, info.kinds, info.normalized) == (384, 256, ("text",), True)
    assert info.device == "cpu"
    assert len(info.fingerprint) == 32


def test_vectors_are_float32_rows_of_unit_length(minilm: TextModel) -> None:
    vectors = encode(minilm, ["one", "two words", "three words here"])
    assert vectors.shape == (3, 384)
    assert str(vectors.dtype) == "float32"
    assert vectors.flags.c_contiguous
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_an_empty_batch_has_no_rows(minilm: TextModel) -> None:
    assert minilm.tokenize([]) == []
    assert minilm.run([]).shape == (0, 384)


@pytest.mark.parametrize("n", [1, 3, 7, 37])
def test_rows_come_in_the_order_given(minilm: TextModel, n: int) -> None:
    texts = [f"{'word ' * (index * 7 % 11)}{index}" for index in range(n)]
    single = np.concatenate([encode(minilm, [text]) for text in texts])
    together = encode(minilm, texts)
    assert (together @ single.T).argmax(axis=1).tolist() == list(range(n))
    np.testing.assert_allclose(together, single, atol=1e-3)


def test_results_outlive_the_next_run(minilm: TextModel) -> None:
    first = encode(minilm, ["first"])
    copy = first.copy()
    encode(minilm, ["second"])
    np.testing.assert_array_equal(first, copy)


def test_tokens_and_truncation_are_exact(minilm: TextModel) -> None:
    short, exact, long_ = minilm.tokenize(["hello world", "a " * 254, "a " * 255])
    assert (len(short.ids), short.truncated) == (4, False)
    assert (len(exact.ids), exact.truncated) == (256, False)
    assert (len(long_.ids), long_.truncated) == (256, True)
    assert long_.ids[-1] == short.ids[-1]


def test_tokenising_is_thread_safe(minilm: TextModel) -> None:
    texts = [f"text number {index} " * (index % 9) for index in range(64)]
    expected = minilm.tokenize(texts)
    results: list[object] = []
    threads = [threading.Thread(target=lambda: results.append(minilm.tokenize(texts))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 8


def test_both_profiles_of_a_model_are_tested_and_make_the_same_vectors(
    minilm_args: ModelArgs, monkeypatch: pytest.MonkeyPatch
) -> None:
    minilm = load_text_model(minilm_args, threads=2, offline=True)
    tested: list[Vector] = []
    monkeypatch.setattr(self_test, "check", lambda made, *_: tested.append(made.texts))
    streamed = load_text_model(minilm_args, threads=2, offline=True, streams=2, latency_profile=True)
    streamed.warm([(1, 8), (2, 8), (1, 16)])
    texts = ["one", "two words", "three words here, and some more"]
    batch = [text.ids for text in minilm.tokenize(texts)]
    assert len(tested) == 2
    np.testing.assert_array_equal(tested[0], streamed.self_test())
    np.testing.assert_array_equal(tested[1], streamed.self_test(exclusive=True))
    assert (streamed.streams, streamed.info) == (2, minilm.info)
    assert (streamed.profiles, minilm.profiles) == ((False, True), (False,))
    for rows in (streamed.run(batch), streamed.run(batch, exclusive=True)):
        assert (rows * minilm.run(batch)).sum(axis=1).min() > 0.9999


def test_a_large_model_gets_no_streams_where_it_would_be_in_memory_twice(
    minilm_args: ModelArgs, minilm_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = minilm_weights.stat().st_size
    for most, streams in ((size, 2), (size - 1, 1)):
        monkeypatch.setattr(openvino_runner, "MOST_IN_TWO_PROFILES", most)
        assert load_text_model(minilm_args, threads=2, offline=True, streams=2, latency_profile=True).streams == streams
    assert load_text_model(minilm_args, threads=2, offline=True, streams=2).streams == 2


def test_warming_runs_every_shape_of_the_grid(minilm: TextModel) -> None:
    minilm.warm(shapes.warmed(4, 64, minilm.lengths))


def test_backends_and_precisions_agree(minilm_args: ModelArgs) -> None:
    def load(backend: str, precision: str) -> TextModel:
        args = minilm_args.model_copy(update={"backend": backend, "precision": precision, "device": "cpu"})
        return load_text_model(args, threads=2, offline=True)

    texts = ["a", "Hello world", "naïve 🙂 code(x)", "long " * 400]
    torch, openvino, half = load("torch", "f32"), load("openvino", "f32"), load("torch", "bf16")
    np.testing.assert_allclose(encode(openvino, texts), encode(torch, texts), atol=1e-5)
    assert (encode(half, texts) * encode(torch, texts)).sum(axis=1).min() > 0.999
    assert torch.info.fingerprint == openvino.info.fingerprint != half.info.fingerprint


def test_bf16_is_used_where_the_cpu_has_it(minilm_args: ModelArgs) -> None:
    """By what the kernel says of the CPU, not by what OpenVINO does."""
    cpu = Path("/proc/cpuinfo")
    flags = set(cpu.read_text().split()) if cpu.exists() else set()
    if not flags & {"avx512_bf16", "amx_bf16"}:
        pytest.skip("this CPU has no bf16, as far as its kernel says")
    own = load_text_model(minilm_args, threads=2, offline=True)
    whole = load_text_model(minilm_args.model_copy(update={"precision": "f32"}), threads=2, offline=True)
    assert (own.info.precision, whole.info.precision) == ("bf16", "f32")
    texts = ["Hello world", "naïve 🙂 code(x)", "long " * 400]
    away = np.abs(encode(own, texts) - encode(whole, texts)).max()
    assert 1e-4 < away < 1e-2, "as far from f32 as bf16 is, and no nearer"


WARM_START = """
import json, sys
from app.encoders import text
before = sorted({"torch", "transformers", "openvino"} & set(sys.modules))
from app.config.args import ModelArgs
model = text.load_text_model(ModelArgs(**json.loads(sys.argv[1])), threads=2, offline=True)
vector = model.run([text.ids for text in model.tokenize(["Hello world"])])
after = sorted({"torch", "transformers", "openvino", "openvino_telemetry"} & {k for k, v in sys.modules.items() if v})
print(json.dumps([before, after, vector.shape]))
"""


def test_a_warm_start_imports_neither_torch_nor_transformers(minilm_args: ModelArgs, minilm_weights: Path) -> None:
    written = minilm_weights.stat().st_mtime_ns
    command = [sys.executable, "-c", WARM_START, minilm_args.model_dump_json()]
    out = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600).stdout
    assert json.loads(out) == [[], ["openvino"], [1, 384]]
    assert minilm_weights.stat().st_mtime_ns == written


def test_a_cache_folder_that_cannot_be_written_does_not_stop_the_model(
    minilm_args: ModelArgs, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    args = minilm_args.model_copy(update={"backend": "openvino", "cache_dir": str(tmp_path / "file" / "below")})
    model = load_text_model(args, threads=2, offline=True)
    assert encode(model, ["Hello world"]).shape == (1, 384)
    assert "every start converts anew" in caplog.text
