"""The texts in `examples/data`, passage by passage. Where they come from: `examples/data/README.md`."""

from pathlib import Path

DATA = Path(__file__).parent / "data"
WORKS = {
    "Alice in Wonderland": "alice.txt",
    "Pride and Prejudice": "pride_and_prejudice.txt",
    "The US Constitution": "constitution.txt",
    "The Devil's Dictionary": "devils_dictionary.txt",
    "Proverbs": "proverbs.txt",
}


def passages(title: str) -> list[str]:
    """Every passage of a work, without its place."""
    return [text for _, text in placed(title)]


def placed(title: str) -> list[tuple[str, str]]:
    """(place, passage), e.g. ("Amendment I", "Congress shall make no law …"); the place may be empty."""
    lines = (DATA / WORKS[title]).read_text("utf-8").splitlines()
    return [(place, text) for line in lines for place, text in [line.split("\t") if "\t" in line else ("", line)]]
