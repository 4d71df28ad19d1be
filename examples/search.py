"""Semantic search: questions find the passages that answer them. `make example-search`"""

from examples.helpers import encode_text, find_similar, url_from_command_line

PASSAGES = (
    "To change your password, open Settings, choose Security and follow the link.",
    "We deliver within three working days; islands take up to a week.",
    "You can send anything back within 30 days and get your money back.",
    "Our shop is open from nine to six on weekdays and until noon on Saturdays.",
    "Gift cards can be bought online and never expire.",
    "The warranty covers two years of normal use.",
)
QUESTIONS = (
    "I forgot my login",
    "How long does shipping take?",
    "Can I return a product?",
    "When do you close on Saturday?",
)


def main(url: str) -> None:
    passages = encode_text(url, PASSAGES)
    for question, vector in zip(QUESTIONS, encode_text(url, QUESTIONS), strict=True):
        print(question)
        for index, score in find_similar(vector, passages, top_k=2):
            print(f"  {score:.2f}  {PASSAGES[index]}")


if __name__ == "__main__":
    main(url_from_command_line())
