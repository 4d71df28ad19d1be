"""A CLIP of ViT-B/32's full size with random weights: as fast as the published one, and there without a hub."""

import json
import shutil
from pathlib import Path

SHAPES_CLIP = Path(__file__).resolve().parent.parent / "app" / "assets" / "shapes-clip"


def write(folder: Path) -> Path:
    """Into `folder`, in the published directory format; the tokenizer is that of shapes-clip."""
    from transformers import CLIPConfig, CLIPModel

    folder.mkdir(parents=True)
    tokens = {"bos_token_id": 702, "eos_token_id": 703, "pad_token_id": 703}
    small = json.loads((SHAPES_CLIP / "config.json").read_text())["text_config"]
    tokens |= {name: small[name] for name in tokens if small.get(name) is not None}
    CLIPModel(CLIPConfig(text_config=tokens)).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copyfile(SHAPES_CLIP / name, folder / name)
    preprocessing = json.loads((SHAPES_CLIP / "preprocessor_config.json").read_text())
    preprocessing |= {"size": {"shortest_edge": 224}, "crop_size": {"height": 224, "width": 224}}
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessing, indent=2) + "\n")
    return folder
