"""Pictures of embeddings, cell by cell (`# %%`) in an editor that knows cells, or whole: `make example-pictures`.

EMBEDDING_URL or PORT says where the service is, PICTURES into which folder the pictures go (default:
docs).
"""

# %% The service, and the passages of five works, each put into one of five groups by k-means on its embedding
import base64
import io
import os
import textwrap
from pathlib import Path
from random import Random

import matplotlib as mpl
import numpy as np
from PIL import Image
from sklearn.cluster import KMeans
from sklearn.manifold import TSNE

from examples.helpers import encode_text, post, service_url
from examples.shapes import draw, random_scene
from examples.works import WORKS, passages

mpl.use("Agg")
from matplotlib import pyplot as plt

url = os.environ.get("URL") or service_url()
folder = Path(os.environ.get("PICTURES", "docs"))
folder.mkdir(parents=True, exist_ok=True)
COLOURS = ("#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#9c6b4e")
MARKERS = ("o", "s", "^", "D", "P")


def base64_png(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


texts = [(title, text) for title in WORKS for text in passages(title)[:33]]
vectors = encode_text(url, [text for _, text in texts])
groups = KMeans(len(WORKS), n_init=10, random_state=0).fit(vectors)

# %% The map: t-SNE lays the 384 dimensions out in two; colour is the group that was found, the mark is the true work
places = TSNE(metric="cosine", perplexity=20, random_state=0).fit_transform(vectors)
figure, axes = plt.subplots(figsize=(9, 7.5), layout="constrained")
for title, marker in zip(WORKS, MARKERS, strict=True):
    chosen = np.array([work == title for work, _ in texts])
    colours = [COLOURS[group] for group in groups.labels_[chosen]]
    axes.scatter(
        places[chosen, 0], places[chosen, 1], c=colours, marker=marker, s=46, edgecolors="white", linewidths=0.6
    )
    axes.scatter([], [], c="#555", marker=marker, s=46, label=title)
found = []
for number, centre in enumerate(groups.cluster_centers_):
    members = np.flatnonzero(groups.labels_ == number)
    typical = members[np.linalg.norm(vectors[members] - centre, axis=1).argmin()]
    middle = np.median(places[members], axis=0)
    axes.scatter(middle[0], middle[1], c=COLOURS[number], s=420, edgecolors="white", linewidths=2.5, zorder=3)
    axes.annotate(f"{number + 1}", middle, ha="center", va="center", color="white", weight="bold", zorder=4)
    found.append(f"{number + 1}  “{textwrap.shorten(texts[typical][1], 88, placeholder=' …')}”")
figure.supxlabel("Most typical of each group:\n" + "\n".join(found), fontsize=9, x=0.04, ha="left", linespacing=1.5)
axes.set_title("Passages of five works: groups found by k-means (colour), and where they come from (mark)", fontsize=11)
axes.legend(loc="best", frameon=False, fontsize=9)
axes.set_axis_off()
figure.savefig(folder / "cluster_map.png", dpi=120)
plt.close(figure)

# %% Images found with words, in one call each: a row is a query, with the nearest of 32 drawings and their scores
QUERIES = ("a red star", "a yellow square", "a heart", "a small blue shape", "a brown diamond on black")
SHOWN = 6
rng = Random(3)
drawings = [draw(random_scene(rng), rng, canvas=(160, 160)) for _ in range(32)]
candidates = [{"image": base64_png(drawing)} for drawing in drawings]

figure, grid = plt.subplots(len(QUERIES), SHOWN, figsize=(9, 7.6), layout="constrained")
for query, row in zip(QUERIES, grid, strict=True):
    body = {"query": {"text": query}, "candidates": candidates, "topK": SHOWN}
    for axes, found in zip(row, post(url, "/search", body)["results"], strict=True):
        axes.imshow(drawings[found["index"]])
        axes.set_title(f"{found['score']:.2f}", fontsize=9, color="#555")
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_color("#ccc")
    row[0].set_ylabel(textwrap.fill(query, 12), rotation=0, ha="right", va="center", labelpad=12, fontsize=11)
figure.suptitle("Images found with words: the nearest six of 32 drawings, best first", fontsize=11)
figure.savefig(folder / "image_search.png", dpi=120)
plt.close(figure)
