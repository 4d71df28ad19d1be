"""Somebody else's directory, of a kind that is not served: refused in one true sentence, before any work."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from app import __main__ as command
from app.encoders import pretrained
from app.encoders.weights import check
from app.errors import ModelUnavailable
from tests.support.tiny import load, write_dense, write_mpnet

pytestmark = pytest.mark.usefixtures("reads_in_this_process")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dense(write_mpnet(tmp_path_factory.mktemp("whole") / "m"), 20)


@pytest.mark.parametrize(
    ("name", "config"),
    [
        *(("m-q4_k_m.gguf", False), ("model.gguf", True), ("model.onnx", False), ("onnx/model.onnx", True)),
        *(("tf_model.h5", True), ("openvino/openvino_model.xml", True), ("consolidated.safetensors", True)),
    ],
)
def test_weights_that_are_not_read_are_named(name: str, config: bool, tmp_path: Path) -> None:
    file = tmp_path / "m" / name
    file.parent.mkdir(parents=True)
    file.write_bytes(b"weights")
    if config:
        (tmp_path / "m" / "config.json").write_text(json.dumps(PLAIN))
    with pytest.raises(ModelUnavailable) as caught:
        load(tmp_path / "m")
    words = f"has no model.safetensors; its {name} is not read."
    assert caught.value.message == f"The directory of model '{tmp_path / 'm'}' {words}"


def modules(*types: str) -> dict[str, Any]:
    return {"modules.json": [{"path": "" if not i else f"{i}_M", "type": type_} for i, type_ in enumerate(types)]}


ST = "sentence_transformers.models"
PLAIN = {"architectures": ["BertModel"], "model_type": "bert"}


def quantised(**how: Any) -> dict[str, Any]:
    return {"config.json": PLAIN | {"quantization_config": how}}


KINDS: dict[str, tuple[dict[str, Any], str]] = {
    "cross-encoder": (
        {"config.json": {"architectures": ["BertForSequenceClassification"], "model_type": "bert"}},
        "is a cross-encoder or classifier: it scores texts",
    ),
    "cross-encoder of sentence-transformers 6": (
        {"config.json": PLAIN, "config_sentence_transformers.json": {"model_type": "CrossEncoder"}},
        "is a cross-encoder or classifier",
    ),
    "reranker by its task": (
        {"config.json": PLAIN, "sentence_bert_config.json": {"transformer_task": "text-generation"}},
        "is a cross-encoder or classifier",
    ),
    "token classifier": ({"config.json": {"architectures": ["BertForTokenClassification"]}}, "which makes no vectors"),
    "ColBERT": ({"config.json": {"architectures": ["HF_ColBERT"], "model_type": "bert"}}, "is a ColBERT model"),
    "PyLate": (
        {"config.json": PLAIN} | modules(f"{ST}.Transformer", "pylate.models.Dense.Dense"),
        "is a ColBERT model, which makes one vector per token",
    ),
    "multi-vector": (
        {"config.json": PLAIN, "config_sentence_transformers.json": {"model_type": "MultiVectorEncoder"}},
        "is a ColBERT model",
    ),
    "late interaction by its settings": (
        {"config.json": PLAIN, "config_sentence_transformers.json": {"query_length": 32, "skiplist_words": ["."]}},
        "is a ColBERT model",
    ),
    "SPLADE": (
        {"config.json": PLAIN} | modules(f"{ST}.MLMTransformer", "sentence_transformers.sparse_encoder.SpladePooling"),
        "is a sparse encoder",
    ),
    "sparse": (
        {"config.json": PLAIN, "config_sentence_transformers.json": {"model_type": "SparseEncoder"}},
        "is a sparse encoder",
    ),
    "remote code": (
        {"config.json": PLAIN} | modules("custom_st.Transformer", f"{ST}.Pooling"),
        r"needs code of its own \(custom_st.Transformer; trust_remote_code\), which this service never runs",
    ),
    "LoRA beside a model": ({"config.json": PLAIN, "adapter_config.json": {"peft_type": "LORA"}}, "is a LoRA adapter"),
    "LoRA alone": ({"adapter_config.json": {"peft_type": "LORA"}}, "is a LoRA adapter: merge it into its base model"),
    "VLM": (
        {"config.json": {"architectures": ["Qwen2VLForConditionalGeneration"], "vision_config": {}}},
        r"is a generative vision-language model \(Qwen2VLForConditionalGeneration\)",
    ),
    "SigLIP 2 NaFlex": (
        {"config.json": {"architectures": ["Siglip2Model"], "model_type": "siglip2", "vision_config": {}}},
        "is a SigLIP 2 NaFlex model: configure it as an image model",
    ),
    "MobileCLIP": (
        {"config.json": {"model_type": "clip", "vision_config": {"model_type": "timm_wrapper", "architecture": "mci"}}},
        r"has a timm model for its images \(mci\), as MobileCLIP does",
    ),
    "timm alone": (
        {"config.json": {"architecture": "fastvit_mci0", "pretrained_cfg": {}}},
        "has a timm model .*fastvit",
    ),
    "OpenCLIP's own layout": ({"open_clip_config.json": {"model_cfg": {}}}, "is in OpenCLIP's own layout"),
    "BLIP": ({"config.json": {"model_type": "blip", "vision_config": {}}}, r"is of a family \(blip\)"),
    "images alone": ({"config.json": {"model_type": "vit", "patch_size": 16}}, r"reads images .*\(vit\)"),
    "ViT among labels": (
        {
            "config.json": PLAIN
            | {"label2id": {"speech": 0}, "quantization_config": None}
            | {"encoder": {"image_size": 8}}
        },
        r"reads images .*\(bert\)",
    ),
    "BEiT": ({"config.json": {"model_type": "beit", "image_size": 8, "vocab_size": 99}}, r"reads images .*\(beit\)"),
    "DETR": ({"config.json": {"model_type": "detr", "backbone": "resnet50"}}, r"reads images .*\(detr\)"),
    "TrOCR": (
        {"config.json": {"model_type": "vision-encoder-decoder", "encoder": {"image_size": 8}, "decoder": PLAIN}},
        r"reads images .*\(vision-encoder-decoder\)",
    ),
    "Whisper": (
        {"config.json": {"model_type": "whisper", "num_mel_bins": 80, "vocab_size": 99}},
        r"reads sounds \(whisper\), which this service does not; it reads texts and images\.$",
    ),
    "Wav2Vec2": (
        {"config.json": {"model_type": "wav2vec2", "feat_extract_norm": "group", "vocab_size": 32}},
        r"reads sounds \(wav2vec2\)",
    ),
    "sounds by their preparation": (
        {"config.json": {"model_type": "moonshine", "vocab_size": 9}, "preprocessor_config.json": {"sampling_rate": 1}},
        r"reads sounds \(moonshine\)",
    ),
    "CLAP": ({"config.json": {"model_type": "clap", "audio_config": {}, "text_config": PLAIN}}, r"sounds \(clap\)"),
    "speech beside text": (
        {"config.json": {"model_type": "speech-encoder-decoder", "encoder": {"feat_extract_norm": "layer"}}},
        r"reads sounds \(speech-encoder-decoder\)",
    ),
    "GPTQ": (
        quantised(bits=4, quant_method="gptq"),
        r"has quantised weights \(gptq\), which this service does not",
    ),
    "AWQ": (quantised(quant_method="awq", w_bit=4), r"quantised weights \(awq\)"),
    "bitsandbytes": (quantised(load_in_8bit=True), r"quantised weights \(bitsandbytes\)"),
    "FP8": (quantised(quant_method="fp8"), r"quantised weights \(fp8\)"),
    "BitNet": (quantised(quant_method="bitnet"), r"quantised weights \(bitnet\)"),
    "no method": (quantised(bits=2), r"quantised weights \(quantization_config\)"),
    "MLX": ({"config.json": PLAIN | {"quantization": {"bits": 4}}}, r"quantised weights \(MLX\)"),
    "older compressed-tensors": (
        {"config.json": PLAIN | {"compression_config": {"quant_method": "compressed-tensors"}}},
        r"quantised weights \(compressed-tensors\)",
    ),
    "quantised within": (
        {"config.json": {"model_type": "gemma3", "text_config": {"quantization_config": {"quant_method": "gptq"}}}},
        r"quantised weights \(gptq\)",
    ),
    "diffusers": ({"model_index.json": {"_class_name": "FluxPipeline"}}, r"pipeline of diffusers \(FluxPipeline\)"),
    "spaCy": ({"config.cfg": "[nlp]", "meta.json": {"lang": "en"}}, "is a spaCy pipeline"),
    "IA3": ({"adapter_config.json": {"peft_type": "IA3"}}, r"is an adapter \(IA3\), which changes another model"),
    "adapters": ({"adapter_config.json": {"config": {}}}, r"is an adapter \(of no peft_type\)"),
    "code for a known architecture": (
        {"config.json": PLAIN | {"auto_map": {"AutoModel": "jinaai/jina-bert--modeling_bert.JinaBertModel"}}},
        r"needs code of its own \(jinaai/jina-bert--modeling_bert.JinaBertModel; trust_remote_code\)",
    ),
    "settings that transformers' own class does not know": (
        {"config.json": {"model_type": "nomic_bert", "auto_map": {"AutoModel": "a.N"}, "rotary_scaling_factor": 2}},
        r"needs code of its own \(a\.N;",
    ),
    "a tokenizer of its own": (
        {"config.json": PLAIN, "tokenizer_config.json": {"auto_map": {"AutoTokenizer": ["tokenization_qwen.A", None]}}},
        r"needs code of its own \(tokenization_qwen.A;",
    ),
    "FNet": ({"config.json": {"model_type": "fnet"}}, "is an FNet, whose vector of a text depends on how many tokens"),
    "Nyströmformer": ({"config.json": {"model_type": "nystromformer"}}, "is a Nyströmformer, whose vector of a text"),
    "a configuration changed beside": (
        {
            "config.json": PLAIN,
            "sentence_bert_config.json": {"config_args": {"num_hidden_layers": 1, "use_cache": True}},
        }
        | modules(f"{ST}.Transformer", f"{ST}.Pooling"),
        r"The model's sentence_bert_config\.json sets num_hidden_layers, which this service does not follow\.$",
    ),
    "weights of another kind": (
        {"config.json": PLAIN, "sentence_bert_config.json": {"model_kwargs": {"torch_dtype": "x", "variant": "fp16"}}}
        | modules(f"{ST}.Transformer", f"{ST}.Pooling"),
        r"sets variant, which this service does not follow\.$",
    ),
    "lengths of tasks before a pooling": (
        {"config.json": PLAIN, "sentence_bert_config.json": {"query_length": 8, "document_length": None}}
        | modules(f"{ST}.Transformer", f"{ST}.Pooling"),
        r"sets query_length, which this service does not follow\.$",
    ),
    "another module": ({"config.json": PLAIN} | modules(f"{ST}.BoW"), "starts with a BoW module, not a transformer"),
    "word vectors": (modules(f"{ST}.WordEmbeddings", f"{ST}.Pooling"), "starts with a WordEmbeddings module, not a tr"),
    "a path outside": (
        {"config.json": PLAIN, "modules.json": [{"path": "../m", "type": f"{ST}.Transformer"}]},
        r"modules\.json can't be read .*outside the model's directory",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_served_says_its_kind(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files, words = KINDS[kind]
    monkeypatch.setattr(pretrained, "make", lambda *_: pytest.fail("work was done"))
    directory = tmp_path / "m"
    directory.mkdir()
    for name, content in files.items():
        (directory / name).write_text(json.dumps(content))
    save_file({"a.weight": torch.zeros(2, 2)}, directory / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelUnavailable, match=words) as caught:
        load(directory)
    assert "\n" not in caught.value.message
    if "onfigure it" not in caught.value.message:  # those are served, and `inspect` says what they are
        assert command.main(["inspect", str(directory)]) == 2
        assert capsys.readouterr().err == f"{caught.value.message}\n"


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("a.qweight", "I32"), ("a.weight", "U8"), ("a.weight", "I8"), ("a.weight", "F8_E4M3"), ("a.blocks", "F4")],
)
def test_weights_that_are_no_floats_are_refused(name: str, dtype: str, tmp_path: Path) -> None:
    """Whatever config.json says, or does not."""
    (tmp_path / "config.json").write_text(json.dumps(PLAIN))
    write_header(tmp_path / "model.safetensors", {name: dtype})
    with pytest.raises(ModelUnavailable, match=rf"model\.safetensors is quantised \({name} is {dtype}\), which this"):
        load(tmp_path)


def test_positions_and_masks_among_weights_are_no_quantised_ones(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(PLAIN))
    write_header(tmp_path / "model.safetensors", {"position_ids": "I64", "attn.bias": "U8", "a.weight": "BF16"})
    check(tmp_path, allow_bin=False)
    write_header(tmp_path / "model.safetensors", {"a.position_ids": "I32", "a.relative_position_index": "I32"})
    check(tmp_path, allow_bin=False)


def write_header(file: Path, dtypes: dict[str, str]) -> None:
    content = {name: {"dtype": dtype, "shape": [2, 0], "data_offsets": [0, 0]} for name, dtype in dtypes.items()}
    header = json.dumps(content).encode()
    file.write_bytes(len(header).to_bytes(8, "little") + header)


def test_a_directory_without_a_model_says_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "glove.6B.300d.txt").write_text("the 0.1 0.2")
    with pytest.raises(ModelUnavailable, match=r"holds no model: it has no config\.json and no modules\.json\.$"):
        load(tmp_path)
    with pytest.raises(ModelUnavailable, match="a local directory: this is a file"):
        load(tmp_path / "glove.6B.300d.txt")
    (tmp_path / "cc.en.300.bin").write_bytes(b"fasttext")
    with pytest.raises(ModelUnavailable, match=r"has no model\.safetensors; its cc\.en\.300\.bin is not read\."):
        load(tmp_path)


def test_an_architecture_without_a_vocabulary_is_named(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "m")
    (tmp_path / "m" / "config.json").write_text(json.dumps({"model_type": "patchtst"}))
    with pytest.raises(ModelUnavailable, match=r"its architecture \(patchtst\) has no vocabulary, it reads no texts\."):
        load(tmp_path / "m")


ORIGINAL = {"original_max_position_embeddings": 128, "rope_theta": 1e4}
ROTARY: dict[str, tuple[dict[str, Any], str]] = {
    "unknown": ({"rope_type": "ntk", "factor": 2.0}, r"knows no rotary positions of type ntk\."),
    "longrope": (
        {"rope_type": "longrope", "long_factor": [2.0] * 6, "short_factor": [1.0] * 6} | ORIGINAL,
        r"beyond 128 tokens its rotary positions \(longrope\) depend on the texts beside a text; with a max_seq_length",
    ),
    "dynamic": ({"rope_type": "dynamic", "factor": 2.0} | ORIGINAL, r"beyond 128 tokens .*\(dynamic\) depend on"),
}


@pytest.mark.parametrize("kind", ROTARY)
def test_rotary_positions_that_cannot_be_served_are_named(kind: str, whole: Path, tmp_path: Path) -> None:
    rope, words = ROTARY[kind]
    shutil.copytree(whole, tmp_path / "m")
    size = {"hidden_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 400}
    config = {"model_type": "llama", "max_position_embeddings": 512, "rope_parameters": rope, **size}
    (tmp_path / "m" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelUnavailable, match=words):
        load(tmp_path / "m")
    (tmp_path / "m" / "sentence_bert_config.json").write_text('{"max_seq_length": 128}')
    with pytest.raises(ModelUnavailable, match=words if kind == "unknown" else "weights are missing"):
        load(tmp_path / "m")


def test_code_of_its_own_and_unknown_architectures_are_named(whole: Path, tmp_path: Path) -> None:
    for name, config, words in (
        ("code", {"model_type": "its_own", "auto_map": {"AutoConfig": "a.B"}}, "needs code of its own"),
        ("new", {"model_type": "not-yet-known"}, "does not know its architecture"),
    ):
        shutil.copytree(whole, tmp_path / name)
        (tmp_path / name / "config.json").write_text(json.dumps(config))
        with pytest.raises(ModelUnavailable, match=words):
            load(tmp_path / name)
