"""Recommendations from what somebody liked: the average of liked things finds more of their kind.

`make example-recommendation`
"""

from examples.helpers import average_embeddings, encode_text, find_similar, url_from_command_line
from examples.works import passages

LIKED = ("PHYSICIAN", "DENTIST", "PRESCRIPTION")
SHOWN = 5


def main(url: str) -> None:
    definitions = passages("The Devil's Dictionary")
    words = [definition.partition(",")[0] for definition in definitions]
    vectors = encode_text(url, definitions)
    taste = average_embeddings(vectors[[words.index(word) for word in LIKED]])
    print(f"Because you liked {', '.join(LIKED)}:")
    ranking = find_similar(taste, vectors, top_k=SHOWN + len(LIKED))
    for index, score in [found for found in ranking if words[found[0]] not in LIKED][:SHOWN]:
        print(f"  {score:.2f}  {definitions[index]}")


if __name__ == "__main__":
    main(url_from_command_line())
