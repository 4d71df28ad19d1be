"""What stands where something else should: values, headers, methods and paths that fuzzing puts in. Data only."""

from typing import Any

STRANGE: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    2**53 + 1,
    2**64,
    -(2**70),
    10**400,
    0.5,
    1e308,
    -1e-320,
    1e39,
    "",
    " ",
    "a",
    "\0",
    "\ud800",
    "\udfff",
    "é",
    "\u202e",
    "😀",
    "%s%n",
    "../../etc/passwd",
    "./../x",
    "./",
    "http://127.0.0.1/",
    "https://[::1]/a",
    {"url": "http://169.254.169.254/"},
    {"path": "/etc/passwd"},
    {"path": "\0"},
    "data:image/png;base64,",
    "data:image/svg+xml;base64,PHN2Zy8+",
    "/9j/4AAQ",
    [],
    {},
    [[]],
    [None],
    [0],
    ["a"],
    [[1, 2], [3]],
    {"text": "a"},
    {"image": "x"},
    {"vector": [1]},
    {"text": "a", "image": "b"},
    "query",
    "document",
    "float",
    "base64",
    "int8",
    "ubinary",
    "cosine",
    "dot",
    "euclidean",
    "all-MiniLM-L6-v2",
    "shapes-clip",
    "no-such-model",
    "a" * 5000,
    "word " * 600,
    [1.5] * 300,
]
NUMBERS = [
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"1e999",
    b"-0",
    b"01",
    b"1.",
    b".5",
    b"+1",
    b"0x1",
    b"1" * 400,
    b"1e-999",
]
TYPES = [
    "application/json",
    "application/json; charset=utf-16",
    "text/plain",
    "",
    "application/xml",
    "multipart/form-data",
    "multipart/form-data; boundary=b",
    "application/octet-stream",
    "application/x-npy",
    "application/x+json",
    "a" * 300,
    "\x80",
]
ACCEPTS = ["*/*", "application/octet-stream", "application/x-npy", "application/json", "text/html", ""]
METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "QUERY", "A" * 30]
HEADERS = """
content-encoding: gzip
content-encoding: identity
content-encoding: br, gzip
x-request-id: a b
x-request-id: \xff
range: bytes=0-
x-embedding-shape: 1,2
x-embedding-shape: -1,99999999999999999999
x-embedding-shape: 0,0
x-embedding-shape: a
traceparent: 00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-bbbbbbbbbbbbbbbb-01
x-request-timeout-seconds: 0
x-request-disconnect-disabled: ?1
authorization: Bearer x
x-api-key: \x80
if-none-match: *
x-forwarded-for: 127.0.0.1
cookie: a=b
origin: null
""".strip().splitlines()
