import base64

from app.api.routes import PNG
from app.config.args import Limits
from app.images import decoder


def test_the_example_is_an_image() -> None:
    assert decoder.decode(base64.b64decode(PNG), Limits(), param="images.0").size == (8, 8)
