"""Headlines sorted into topics that nobody named: k-means on embeddings. `make example-clustering`"""

import numpy as np
from sklearn.cluster import KMeans

from examples.helpers import encode_text, url_from_command_line

HEADLINES = (
    "Striker scores twice in the cup final",
    "Underdogs win the championship on penalties",
    "Marathon record broken in the rain",
    "Parliament votes on the new budget",
    "Minister resigns after the election defeat",
    "Coalition talks continue through the night",
    "New telescope sees the oldest galaxies yet",
    "Researchers find water on a distant moon",
    "Physicists measure a rare particle decay",
)
TOPICS = 3


def main(url: str) -> None:
    vectors = encode_text(url, HEADLINES)
    clusters = KMeans(TOPICS, n_init=10, random_state=0).fit(vectors)
    for topic in range(TOPICS):
        members = np.flatnonzero(clusters.labels_ == topic)
        distance = np.linalg.norm(vectors[members] - clusters.cluster_centers_[topic], axis=1)
        print(f"Topic {topic + 1}, around: {HEADLINES[members[distance.argmin()]]}")
        for index in members:
            print(f"  - {HEADLINES[index]}")


if __name__ == "__main__":
    main(url_from_command_line())
