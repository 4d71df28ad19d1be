"""Images found with words: both towers of one CLIP. `make example-images`

The pictures are drawn here. With the service's own small shapes-clip that is all it knows; with a real CLIP
(IMAGE_MODEL) point it at photographs instead.
"""

import base64
import io

from examples.helpers import encode_images, encode_text, find_similar, post, url_from_command_line
from examples.shapes import Scene, draw

SCENES = (
    Scene("circle", "red"),
    Scene("square", "blue"),
    Scene("star", "yellow"),
    Scene("triangle", "green"),
    Scene("circle", "blue"),
    Scene("square", "red"),
)
QUERIES = ("a red circle", "a blue square", "a yellow star", "a green triangle")


def main(url: str) -> None:
    names = [f"{scene.colour} {scene.shape}" for scene in SCENES]
    files = []
    for scene in SCENES:
        buffer = io.BytesIO()
        draw(scene).save(buffer, "PNG")
        files.append(buffer.getvalue())
    images = encode_images(url, files)
    model = post(url, "/embed/batch", {"items": [{"image": data_uri(files[0])}]})["model"]
    print(f"model: {model}")
    for query, vector in zip(QUERIES, encode_text(url, QUERIES, model), strict=True):
        [(best, score)] = find_similar(vector, images, top_k=1)
        print(f"  {query!r} finds the picture of a {names[best]} ({score:.2f})")


def data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


if __name__ == "__main__":
    main(url_from_command_line())
