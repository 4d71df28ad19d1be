"""Recommendations from what somebody liked: the average of liked things finds more. `make example-recommendation`"""

from examples.helpers import average_embeddings, encode_text, find_similar, url_from_command_line

BOOKS = {
    "The Long Voyage": "A crew crosses the galaxy for generations in search of a habitable planet.",
    "Signal from Europa": "Scientists on a moon base receive a message from beneath the ice.",
    "Orbital Decay": "An engineer must save a failing space station before it falls to Earth.",
    "Red Soil": "The first settlers on Mars struggle to grow food and to trust one another.",
    "The Sourdough Year": "A baker tells how to make bread with wild yeast, month by month.",
    "Herbs on the Windowsill": "How to grow basil, mint and thyme in a small kitchen.",
    "A Murder in the Abbey": "A monk investigates a death among the monastery's books.",
    "The Silent Witness": "A detective reopens a case that everybody wants to forget.",
}
LIKED = ("The Long Voyage", "Signal from Europa")


def main(url: str) -> None:
    titles = list(BOOKS)
    vectors = encode_text(url, list(BOOKS.values()))
    taste = average_embeddings(vectors[[titles.index(title) for title in LIKED]])
    print(f"Because you liked {' and '.join(LIKED)}:")
    for index, score in find_similar(taste, vectors, top_k=len(titles)):
        if titles[index] not in LIKED:
            print(f"  {score:.2f}  {titles[index]}")


if __name__ == "__main__":
    main(url_from_command_line())
