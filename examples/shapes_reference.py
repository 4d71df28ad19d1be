"""shapes-clip run by transformers, as the yardstick for every other way of running it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import CLIPModel, CLIPTokenizer
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from examples.shapes import UNSEEN_PAIRS
from examples.shapes_recall import Recall, Rows, recall_at_1


class Reference:
    def __init__(self, folder: Path) -> None:
        self.model = CLIPModel.from_pretrained(folder).eval()
        self.tokenizer = CLIPTokenizer.from_pretrained(folder)
        self.processor = CLIPImageProcessorPil.from_pretrained(folder)

    @torch.inference_mode()
    def encode_images(self, images: Sequence[Image.Image]) -> Rows:
        inputs = self.processor(list(images), return_tensors="pt")
        return np.asarray(self.model.get_image_features(**inputs).pooler_output)

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> Rows:
        inputs = self.tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")
        return np.asarray(self.model.get_text_features(**inputs).pooler_output)

    def figures(self, sets: int = 16) -> dict[str, Recall]:
        """Recall@1 over 32 candidates, by what they are. Short captions are what people type."""

        def measured(unseen: bool | None) -> Recall:
            return recall_at_1(self.encode_images, self.encode_texts, sets=sets, unseen=unseen)

        return {
            "held-out pictures": measured(None),
            "held-out pictures of never-trained pairs": measured(True),
            "colour and shape alone": recall_at_1(
                self.encode_images, self.encode_texts, sets=sets, parts=("shape", "colour")
            ),
            f"colour and shape alone, never-trained pairs ({len(UNSEEN_PAIRS)} candidates)": recall_at_1(
                self.encode_images,
                self.encode_texts,
                sets=sets,
                candidates=len(UNSEEN_PAIRS),
                unseen=True,
                parts=("shape", "colour"),
            ),
        }
