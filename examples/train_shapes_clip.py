"""Trains shapes-clip, a small CLIP, on pictures that it draws: `python -m examples.train_shapes_clip`.

Takes a few minutes on two cores and writes a directory that `CLIPModel.from_pretrained` loads.
"""

import argparse
import json
import math
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from examples.shapes import PARTS, Scene, caption, draw, fitted, random_parts, random_scene, with_noise
from examples.shapes_card import model_card
from examples.shapes_reference import Reference
from examples.shapes_tokenizer import save_tokenizer, train_tokenizer

ASSETS = Path(__file__).resolve().parent.parent / "app" / "assets" / "shapes-clip"
SIDE = 64
PATCH = 8
MAX_LENGTH = 32
PROJECTION = 64
BATCH = 64
PICTURES = 12_000
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


class Pictures(NamedTuple):
    scenes: list[Scene]
    pixels: torch.Tensor  # (n, side, side, 3), uint8
    attributes: torch.Tensor  # (n, parts): equal numbers, equal words


def draw_pictures(seed: int, n: int) -> Pictures:
    def picture(index: int) -> tuple[Scene, np.ndarray]:
        rng = Random(f"training {seed} {index}")
        scene = random_scene(rng, unseen=False)
        return scene, np.asarray(fitted(draw(scene, rng), SIDE))

    with ThreadPoolExecutor() as pool:
        scenes, pixels = zip(*pool.map(picture, range(n)), strict=True)
    words: dict[str, int] = {}
    attributes = [[words.setdefault(getattr(scene, p), len(words)) for p in PARTS] for scene in scenes]
    return Pictures(list(scenes), torch.from_numpy(np.stack(pixels)), torch.tensor(attributes))


def new_model(tokenizer: CLIPTokenizer) -> CLIPModel:
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": MAX_LENGTH,
        "projection_dim": PROJECTION,
        "hidden_act": "gelu",
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = {
        "image_size": SIDE,
        "patch_size": PATCH,
        "hidden_size": 96,
        "intermediate_size": 192,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "projection_dim": PROJECTION,
        "hidden_act": "gelu",
    }
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=PROJECTION))
    embeddings = model.vision_model.embeddings
    with torch.no_grad():
        # Near zero, as they start by default, they take most of the training to tell the places apart.
        embeddings.position_embedding.weight[1:] = 0.3 * sines(SIDE // PATCH, embeddings.embed_dim)
    return model


def sines(side: int, width: int) -> torch.Tensor:
    """Where a patch lies, as sines of its row and column: (side * side, width)."""
    waves = torch.exp(torch.arange(width // 4) * (-math.log(100) / (width // 4 - 1))) * math.pi / 2
    turns = torch.arange(side)[:, None] * waves
    line = torch.cat([turns.sin(), turns.cos()], dim=1)
    rows, columns = line.repeat_interleave(side, dim=0), line.repeat(side, 1)
    return torch.cat([rows, columns], dim=1)


def training_texts(scenes: list[Scene], rng: Random) -> tuple[list[str], torch.Tensor]:
    """A caption per scene, and which parts it names."""
    texts, named = [], []
    for scene in scenes:
        parts = random_parts(rng)
        text = caption(scene, rng, parts)
        texts.append(with_noise(text, rng) if rng.random() < 0.1 else text)
        named.append([part in parts for part in PARTS])
    return texts, torch.tensor(named)


def shaken(pixels: torch.Tensor) -> torch.Tensor:
    """Moved by up to two pixels, lightened or darkened, and normalised: (n, 3, side, side), float."""
    n = len(pixels)
    rows, columns = ((torch.arange(SIDE)[None, :] + torch.randint(-2, 3, (n, 1))).clamp(0, SIDE - 1) for _ in range(2))
    moved = pixels[torch.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]
    values = moved.permute(0, 3, 1, 2).float() / 255
    contrast, light = 1 + 0.2 * (torch.rand(2, n, 1, 1, 1) - 0.5)
    values = ((values - 0.5) * contrast + 0.5 * light).clamp(0, 1)
    normal: torch.Tensor = (values - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    return normal


def contrastive_loss(logits: torch.Tensor, attributes: torch.Tensor, named: torch.Tensor) -> torch.Tensor:
    """CLIP's loss, but a picture that a caption happens to be true of is no wrong answer to it."""
    same = attributes[:, None, :] == attributes[None, :, :]
    also_true = (same | ~named[:, None, :]).all(dim=-1)
    also_true.fill_diagonal_(False)
    logits = logits.masked_fill(also_true, -torch.inf)
    answers = torch.arange(len(logits))
    loss: torch.Tensor = (cross_entropy(logits, answers) + cross_entropy(logits.T, answers)) / 2
    return loss


class Attributes(torch.nn.Module):
    """Names each part of a picture; used in training only. Told what to look at, the image tower learns
    shapes sooner than by contrast with captions alone.
    """

    def __init__(self, width: int, values: int) -> None:
        super().__init__()
        self.heads = torch.nn.Linear(width, len(PARTS) * values)
        self.values = values

    def loss(self, features: torch.Tensor, attributes: torch.Tensor) -> torch.Tensor:
        logits = self.heads(features).view(-1, len(PARTS), self.values)
        return cross_entropy(logits.flatten(0, 1), attributes.flatten())


def train(model: CLIPModel, tokenizer: CLIPTokenizer, pictures: Pictures, steps: int, seed: int) -> None:
    rng = Random(f"captions {seed}")
    attributes = Attributes(PROJECTION, int(pictures.attributes.max()) + 1)
    parameters = [*model.parameters(), *attributes.parameters()]
    # Muon for the layers' matrices: these learn shapes in about half the steps that AdamW takes.
    matrices = [p for name, p in model.named_parameters() if ".layers." in name and p.ndim == 2]
    by_muon = {id(p) for p in matrices}
    others = [p for p in parameters if id(p) not in by_muon]
    adam = torch.optim.AdamW(others, weight_decay=0.02, betas=(0.9, 0.98), fused=True)
    muon = torch.optim.Muon(matrices, weight_decay=0.01)
    rates = ((adam, 2e-3), (muon, 0.02))
    started, losses = time.monotonic(), []
    for step in range(steps):
        pace = min(1, (step + 1) / 20) * (0.51 + 0.49 * math.cos(math.pi * step / steps))
        for optimizer, rate in rates:
            optimizer.zero_grad()
            for group in optimizer.param_groups:
                group["lr"] = rate * pace
        chosen = torch.randint(len(pictures.scenes), (BATCH,))
        texts, named = training_texts([pictures.scenes[i] for i in chosen.tolist()], rng)
        inputs = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        outputs = model(pixel_values=shaken(pictures.pixels[chosen]), **inputs)
        loss = contrastive_loss(outputs.logits_per_text, pictures.attributes[chosen], named)
        loss = loss + 2 * attributes.loss(outputs.vision_model_output.pooler_output, pictures.attributes[chosen])
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        for optimizer, _ in rates:
            optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=math.log(100))
        losses.append(loss.item())
        if (step + 1) % 50 == 0 or step + 1 == steps:
            recent = sum(losses[-50:]) / len(losses[-50:])
            seconds = time.monotonic() - started
            print(f"step {step + 1}/{steps}  loss {recent:.3f}  {seconds:.0f} s", flush=True)


def save(model: CLIPModel, tokenizer: CLIPTokenizer, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    model.eval().save_pretrained(folder)
    # Written for the owner's eyes only, which would make an installed package unreadable for others.
    (folder / "model.safetensors").chmod(0o644)
    save_tokenizer(tokenizer, folder)
    preprocessing = {
        "image_processor_type": "CLIPImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"shortest_edge": SIDE},
        "resample": 3,
        "do_center_crop": True,
        "crop_size": {"height": SIDE, "width": SIDE},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": MEAN,
        "image_std": STD,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessing, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1350)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ASSETS)
    parser.add_argument("--sets", type=int, default=16, help="sets of 32 held-out pictures to measure recall on")
    args = parser.parse_args()

    started = time.monotonic()
    torch.manual_seed(args.seed)
    pictures = draw_pictures(args.seed, min(PICTURES, args.steps * BATCH))
    print(f"drew {len(pictures.scenes)} pictures  {time.monotonic() - started:.0f} s", flush=True)
    rng = Random(f"words {args.seed}")
    words = [caption(s, rng, random_parts(rng)) for s in (random_scene(rng, False) for _ in range(10_000))]
    tokenizer = train_tokenizer(words, MAX_LENGTH)
    model = new_model(tokenizer)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(f"training {parameters:,} parameters on {torch.get_num_threads()} threads", flush=True)
    train(model, tokenizer, pictures, args.steps, args.seed)
    save(model, tokenizer, args.out)
    seconds = time.monotonic() - started
    figures = Reference(args.out).figures(args.sets)
    (args.out / "README.md").write_text(model_card(figures, parameters, len(pictures.scenes), args.steps))
    print(f"trained in {seconds:.0f} s, saved to {args.out}")
    for name, recall in figures.items():
        print(f"{name}: {recall}")


if __name__ == "__main__":
    main()
