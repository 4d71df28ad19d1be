"""Semantic search: everyday questions find the paragraphs of the US Constitution that answer them, in other words.

`make example-search`
"""

from examples.helpers import encode_text, find_similar, url_from_command_line
from examples.works import placed

QUESTIONS = (
    "How old must you be to become president?",
    "May the army put soldiers up in my home?",
    "Must a suspect testify against himself?",
    "Can the police go through my papers without a warrant?",
    "May anyone be kept from voting for being a woman?",
    "How often can somebody be elected president?",
)


def main(url: str) -> None:
    paragraphs = placed("The US Constitution")
    vectors = encode_text(url, [text for _, text in paragraphs])
    for question, vector in zip(QUESTIONS, encode_text(url, QUESTIONS), strict=True):
        print(question)
        for index, score in find_similar(vector, vectors, top_k=2):
            place, text = paragraphs[index]
            print(f"  {score:.2f}  {place}: {text[:90]}")


if __name__ == "__main__":
    main(url_from_command_line())
