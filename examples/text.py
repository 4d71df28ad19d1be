"""Which of these sentences mean nearly the same? `make example-text`"""

from examples.helpers import encode_text, url_from_command_line

SENTENCES = (
    "The cat sleeps on the warm windowsill.",
    "A kitten is napping in the sun by the window.",
    "The central bank raised interest rates again.",
    "Borrowing money has become more expensive.",
)


def main(url: str) -> None:
    vectors = encode_text(url, SENTENCES)
    scores = vectors @ vectors.T
    print(f"{len(SENTENCES)} sentences, {vectors.shape[1]} dimensions\n")
    for i, sentence in enumerate(SENTENCES):
        nearest = max((j for j in range(len(SENTENCES)) if j != i), key=lambda j: float(scores[i, j]))
        print(f"{sentence}\n  is nearest to: {SENTENCES[nearest]} ({scores[i, nearest]:.2f})")


if __name__ == "__main__":
    main(url_from_command_line())
