"""Embed a small corpus in bulk and search it: the first page of Lewis Carroll's Alice (1865, public domain).

`python -m examples.corpus` needs no running service. The folder that it writes is plain Parquet, which other stores
take as it is: `examples.corpus_faiss` loads it into FAISS.
"""

import sys
import tempfile
from pathlib import Path

from app.config.settings import AppArgs
from app.corpus.run import CorpusOptions, embed_corpus, in_process
from app.corpus.search import encode_query, nearest, open_corpus

ALICE = Path(__file__).parent / "data/alice.txt"
QUESTIONS = (
    "What did the rabbit have in its pocket?",
    "What was written on the jar?",
    "Where did Alice fall?",
)


def main(folder: str) -> None:
    summary = embed_corpus(str(ALICE), folder, CorpusOptions(), in_process())
    print(f"{summary['rows']} passages, {summary['embedded']} embedded now")
    corpus = open_corpus(folder)
    for question in QUESTIONS:
        ranking = nearest(encode_query(corpus, question, AppArgs(), threads=1), corpus.vectors, top_k=1)
        [row] = corpus.rows(ranking.indices.tolist())
        print(f"{question}\n  {ranking.scores[0]:.2f}  {row['text'][:100]}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with tempfile.TemporaryDirectory() as scratch:
            main(scratch)
