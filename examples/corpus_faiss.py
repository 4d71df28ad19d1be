"""The folder that `embed-corpus` writes, loaded into FAISS: `python -m examples.corpus_faiss` (no running service).

The same Parquet goes into LanceDB as it is: `lancedb.connect("db").create_table("alice", table)`.
"""

import tempfile

import faiss
import pyarrow.parquet as pq

from app.config.settings import AppArgs
from app.corpus.run import CorpusOptions, embed_corpus, in_process
from app.corpus.search import encode_query, open_corpus
from examples.corpus import ALICE, QUESTIONS


def main(folder: str) -> None:
    embed_corpus(str(ALICE), folder, CorpusOptions(), in_process())

    table = pq.read_table(folder)
    index = faiss.IndexFlatIP(table.schema.field("embedding").type.list_size)
    index.add(table["embedding"].combine_chunks().flatten().to_numpy().reshape(len(table), -1))

    corpus = open_corpus(folder)
    for question in QUESTIONS:
        query = encode_query(corpus, question, AppArgs(), threads=1)
        scores, rows = index.search(query.reshape(1, -1), 1)
        print(f"{question}\n  {scores[0, 0]:.2f}  {table['text'][int(rows[0, 0])].as_py()[:100]}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        main(scratch)
