"""Which of 595 proverbs say the same? Duplicates and paraphrases are the pairs nearest to each other.

`make example-text`
"""

import numpy as np

from examples.helpers import encode_text, url_from_command_line
from examples.works import placed

PAIRS = 8


def main(url: str) -> None:
    proverbs = placed("Proverbs")
    vectors = encode_text(url, [text for _, text in proverbs])
    print(f"{len(proverbs)} proverbs, {vectors.shape[1]} dimensions")
    scores = np.triu(vectors @ vectors.T, k=1)  # each pair once
    for best in np.argsort(-scores, axis=None)[:PAIRS]:
        pair = np.unravel_index(best, scores.shape)
        print(f"\n{scores[pair]:.2f}")
        for index in pair:
            place, text = proverbs[index]
            print(f"  {place:15} {text}")


if __name__ == "__main__":
    main(url_from_command_line())
