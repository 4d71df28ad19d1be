"""How a person might describe a scene, in part or in full."""

from random import Random

from examples.shapes_scene import PARTS, Part, Scene

_SHAPES = {
    "circle": ("circle", "circle", "circle", "disc", "disk"),
    "heart": ("heart",),
    "cross": ("cross", "cross", "plus sign"),
    "diamond": ("diamond", "diamond", "rhombus"),
    "ring": ("ring", "ring", "donut"),
}
_COLOURS = {"purple": ("purple", "purple", "violet")}
_BACKGROUNDS = {"grey": ("grey", "gray")}
_SIZES = {"small": ("small", "small", "little", "tiny"), "large": ("large", "big", "big", "huge")}
_CENTRE = ("in the centre", "in the center", "in the middle", "at the centre")
_OPENINGS = (
    "a photo of {}",
    "a picture of {}",
    "an image of {}",
    "a drawing of {}",
    "the picture shows {}",
    "show me {}",
    "find {}",
)


def caption(scene: Scene, rng: Random | None = None, parts: tuple[Part, ...] = PARTS) -> str:
    """Names the given parts of the scene; without `rng` always in the same plain words."""
    size = scene.size if "size" in parts else ""
    colour = scene.colour if "colour" in parts else ""
    shape = scene.shape if "shape" in parts else "shape"
    if rng is None:
        phrases = [_with_article(_join(size, colour, shape))]
        phrases += [f"{_place(scene.position)}"] if "position" in parts else []
        phrases += [f"on a {scene.background} background"] if "background" in parts else []
        return " ".join(phrases)

    size = rng.choice(_SIZES[size]) if size else ""
    colour = rng.choice(_COLOURS.get(colour, (colour,)))
    shape = rng.choice(_SHAPES.get(shape, (shape,)) if "shape" in parts else ("shape", "thing", "object"))
    thing = _thing(size, colour, shape, rng)
    phrases = [thing]
    if "position" in parts:
        place = _place(scene.position, rng)
        phrases = [thing, place] if rng.random() < 0.8 else [place + ",", thing]
    if "background" in parts:
        background = rng.choice(_BACKGROUNDS.get(scene.background, (scene.background,)))
        phrases = _on_background(phrases, background, rng)
    sentence = " ".join(phrases)
    if phrases[0] is thing and rng.random() < 0.4:
        sentence = rng.choice(_OPENINGS).format(sentence)
    return sentence


def random_parts(rng: Random) -> tuple[Part, ...]:
    """What a caption names: everything, or shape and colour, or any few."""
    kind = rng.random()
    chosen = PARTS
    if kind > 0.9:
        chosen = tuple(part for part in PARTS if rng.random() < 0.5)
    elif kind > 0.6:
        chosen = ("shape", "colour")
    return chosen or ("shape", "colour")


def with_noise(sentence: str, rng: Random) -> str:
    """Puts one or two words that mean nothing into a caption, so that unknown words come to weigh little."""
    words = sentence.split(" ")
    for _ in range(rng.choice((1, 1, 2))):
        words.insert(rng.randrange(len(words) + 1), _nonsense(rng))
    return " ".join(words)


def _thing(size: str, colour: str, shape: str, rng: Random) -> str:
    style = rng.random()
    if style < 0.3:
        return _join(size, colour, shape)
    if style < 0.4:
        return "the " + _join(size, colour, shape)
    return _with_article(_join(size, colour, shape))


def _place(position: str, rng: Random | None = None) -> str:
    if position == "centre":
        return rng.choice(_CENTRE) if rng else _CENTRE[0]
    if rng is None:
        return f"at the {position}"
    corner = position.replace("top", "upper").replace("bottom", "lower")
    forms = (
        f"at the {position}",
        f"at the {position}",
        f"in the {position} corner",
        f"in the {corner} corner",
        position,
    )
    return rng.choice(forms)


def _on_background(phrases: list[str], background: str, rng: Random) -> list[str]:
    forms = ("on a {} background", "on a {} background", "on {}", "against a {} background")
    if rng.random() < 0.85:
        return [*phrases, rng.choice(forms).format(background)]
    return [rng.choice(("{} background with", "on a {} background,")).format(background), *phrases]


def _nonsense(rng: Random) -> str:
    kind = rng.random()
    if kind < 0.6:
        return "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(2, 6)))
    if kind < 0.8:
        return "".join(rng.choice("0123456789!?.,:;-'\"()#&%/") for _ in range(rng.randint(1, 2)))
    return chr(rng.choice((rng.randint(0xA1, 0x17F), rng.randint(0x391, 0x44F), rng.randint(0x3041, 0x9FFF))))


def _with_article(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _join(*words: str) -> str:
    return " ".join(word for word in words if word)
