"""Passages of five works, shuffled together and sorted into groups that nobody named: k-means on embeddings.

`make example-clustering`
"""

from collections import Counter

import numpy as np
from sklearn.cluster import KMeans

from examples.helpers import encode_text, url_from_command_line
from examples.works import WORKS, passages

EACH = 12


def main(url: str) -> None:
    texts = [(title, text) for title in WORKS for text in passages(title)[:EACH]]
    vectors = encode_text(url, [text for _, text in texts])
    clusters = KMeans(len(WORKS), n_init=10, random_state=0).fit(vectors)
    for number, centre in enumerate(clusters.cluster_centers_):
        members = np.flatnonzero(clusters.labels_ == number)
        nearest = members[np.linalg.norm(vectors[members] - centre, axis=1).argmin()]
        counts = Counter(texts[index][0] for index in members).most_common()
        print(f"Group {number + 1}: {', '.join(f'{count} from {title}' for title, count in counts)}")
        print(f"  most typical: {texts[nearest][1][:100]}")


if __name__ == "__main__":
    main(url_from_command_line())
