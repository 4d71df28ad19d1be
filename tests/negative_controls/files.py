"""The guards of bulk embedding: what is read, and what is written."""

from typing import Final

from tests.negative_controls.mutation import Mutation

M = Mutation

FILES: Final = [
    M("records of CSV are csv.reader's", "app/corpus/records.py", "csv.reader(counted(), delimiter=delimiter) if delimiter else some", "some", "tests/unit/corpus/test_records.py"),
    M("keys that come twice", "app/corpus/records.py", 'line.count(b":") != len(value) or ', "", "tests/unit/corpus/test_records.py"),
    M("a quote that is never closed", "app/corpus/records.py", "elif before == len(lines):", "elif False:", "tests/unit/corpus/test_records.py"),
    M("checksums of pages", "app/corpus/rows.py", "page_checksum_verification=True", "page_checksum_verification=False", "tests/unit/corpus/test_source.py"),
    M("vectors that are not finite", "app/corpus/worker.py", "np.flatnonzero(~finite(encoded.rows))", "np.flatnonzero(encoded.rows[:, 0] > 9)", "tests/unit/corpus/test_rejects.py"),
    M("another range of int8", "app/corpus/parts.py", "for each in found if each != range_", "for each in found if False", "tests/unit/corpus/test_resume.py"),
    M("other chunks in a folder", "app/corpus/parts.py", "for each in found if each != chunks", "for each in found if False", "tests/unit/corpus/test_chunks.py"),
    M("texts without a chunk", "app/corpus/chunk_rows.py", "        if not own:", "        if False:", "tests/unit/corpus/test_chunks.py"),
    M("rows of a corpus beside another", "app/corpus/search.py", "rows == others and bool(", "rows == others and True or bool(", "tests/unit/corpus/test_sparse.py"),
    M("loops of links", "app/corpus/folder.py", "elif real in above:", "elif False:", "tests/unit/corpus/test_folder.py"),
]  # fmt: skip
