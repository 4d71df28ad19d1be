"""Bytes that are no decent HTTP: request smuggling, broken framing, oversize heads. Data only.

Every case is sent on a connection of its own. A request for `SMUGGLED` hides in those that two readers of HTTP could
cut differently: its answer must never reach another client.
"""

import random
from collections.abc import Iterator

SMUGGLED = b"/smuggled"
_HIDDEN = b"GET " + SMUGGLED + b" HTTP/1.1\r\nhost: h\r\n\r\n"
_BODY = b'{"texts": ["a"]}'


def _post(
    *headers: bytes, body: bytes = _BODY, line: bytes = b"POST /embed/text HTTP/1.1", end: bytes = b"\r\n"
) -> bytes:
    return end.join([line, b"host: h", b"content-type: application/json", *headers, b"", b""]) + body


def _get(*headers: bytes, line: bytes = b"GET /livez HTTP/1.1") -> bytes:
    return b"\r\n".join([line, b"host: h", *headers, b"", b""])


def _chunked(body: bytes, *headers: bytes) -> bytes:
    return _post(b"transfer-encoding: chunked", *headers, body=body)


_LENGTH = b"content-length: %d" % len(_BODY)
_CHUNKS = b"10\r\n" + _BODY + b"\r\n0\r\n\r\n"
_SHORT = b"0\r\n\r\n" + _HIDDEN

CASES: dict[str, bytes] = {
    "CL.TE": _post(b"content-length: %d" % len(_SHORT), b"transfer-encoding: chunked", body=_SHORT),
    "TE.CL": _post(
        b"transfer-encoding: chunked", b"content-length: 4", body=b"%x\r\n%b\r\n0\r\n\r\n" % (len(_HIDDEN), _HIDDEN)
    ),
    "two lengths": _post(b"content-length: 0", _LENGTH, body=_HIDDEN),
    "two lengths, swapped": _post(_LENGTH, b"content-length: 0", body=_BODY + _HIDDEN),
    "two equal lengths": _post(_LENGTH, _LENGTH),
    "a list of lengths": _post(b"content-length: 0, 16", body=_HIDDEN),
    "two codings": _post(
        b"transfer-encoding: chunked", b"transfer-encoding: identity", b"content-length: 4", body=_CHUNKS
    ),
    **{
        f"length {value!r}": _post(b"content-length: " + value, body=_BODY + _HIDDEN)
        for value in (
            b"+16",
            b"-1",
            b"0x10",
            b"1 6",
            b"16,",
            b"",
            b"1e1",
            b"16\x0b",
            b"9" * 40,
            b"\xd9\xa1\xd9\xa6",
            b"00016",
        )
    },
    **{
        f"coding {value!r}": _post(b"transfer-encoding" + value, b"content-length: 4", body=_CHUNKS + _HIDDEN)
        for value in (
            b": xchunked",
            b" : chunked",
            b":\tchunked",
            b": chunked, identity",
            b": identity, chunked",
            b": CHUNKED",
            b": chunked\x0b",
            b": \x00chunked",
            b":\r\n chunked",
            b': "chunked"',
            b": chunked;q=1",
            b": gzip, chunked",
            b":",
        )
    },
    **{
        f"chunk {start!r}": _chunked(start + b"\r\n" + _BODY + b"\r\n0\r\n\r\n" + _HIDDEN)
        for start in (
            b"-10",
            b"0x10",
            b"+10",
            b" 10",
            b"10 ",
            b"10;a",
            b"10;" + b"a" * 20_000,
            b"f" * 16,
            b"f" * 17,
            b"8" + b"0" * 15,
            b"g",
            b"",
            b"1_0",
            b"10\n",
            b"0000000000000000000000010",
            b"\x0010",
            b'10;a="\r\n"',
        )
    },
    "chunks": _chunked(_CHUNKS),
    "chunks cut": _chunked(_CHUNKS[:9]),
    "chunks without ends": _chunked(b"10\r\n" + _BODY + b"0\r\n\r\n"),
    "chunks with bare feeds": _chunked(b"10\n" + _BODY + b"\n0\n\n" + _HIDDEN),
    "chunk end of another kind": _chunked(b"10\r\n" + _BODY + b"XX0\r\n\r\n" + _HIDDEN),
    "trailers": _chunked(b"0\r\ncontent-length: 5\r\nhost: x\r\n\r\n" + _HIDDEN),
    "endless trailers": _chunked(b"0\r\n" + b"a: b\r\n" * 20_000),
    "a million small chunks": _chunked(b"1\r\n \r\n" * 100_000 + _CHUNKS),
    "bare feeds": _post(_LENGTH, end=b"\n"),
    "bare returns": _post(_LENGTH, end=b"\r"),
    "a header of two lines": _get(b"x: a\r\n b"),
    "a header that starts with a space": _get(b" x: a"),
    "a space before the colon": _post(b"content-length : 16", body=_BODY + _HIDDEN),
    "no colon": _get(b"nothing"),
    "no name": _get(b": a"),
    "NUL in a name": _get(b"a\0b: c"),
    "NUL in a value": _get(b"a: b\0c"),
    "NUL in the path": _get(line=b"GET /livez\0 HTTP/1.1"),
    "bytes above 127": _get(b"\xff\xfe: \xff", line=b"GET /liv\xe9z HTTP/1.1"),
    "control characters": _get(b"a: \x01\x02\x7f"),
    "a return in a value": _get(b"a: b\rtransfer-encoding: chunked"),
    "no host": b"GET /livez HTTP/1.1\r\n\r\n",
    "two hosts": _get(b"host: other"),
    "an odd host": b"GET /livez HTTP/1.1\r\nhost: a b/@:\xff\r\n\r\n",
    "another host in the line": _get(line=b"GET http://other/livez HTTP/1.1"),
    "a scheme": _get(line=b"GET file:///etc/passwd HTTP/1.1"),
    "a tunnel": _get(line=b"CONNECT 127.0.0.1:22 HTTP/1.1"),
    "a trace": _get(line=b"TRACE /livez HTTP/1.1"),
    "options of all": _get(line=b"OPTIONS * HTTP/1.1"),
    "a long path": _get(line=b"GET /" + b"a" * 100_000 + b" HTTP/1.1"),
    "a long header": _get(b"a: " + b"b" * 200_000),
    "a long name": _get(b"a" * 100_000 + b": b"),
    "many headers": _get(*[b"x%d: y" % i for i in range(5000)]),
    "a head that never ends": b"GET /livez HTTP/1.1\r\nhost: h\r\n" + b"a: b\r\n" * 50_000,
    "a body that never comes": _post(b"content-length: 1000"),
    "a body too large": _post(b"content-length: 999999999999"),
    "HTTP/0.9": b"GET /livez\r\n\r\n",
    "HTTP/1.0": b"GET /livez HTTP/1.0\r\n\r\n",
    "HTTP/1.0, chunked": _post(
        b"transfer-encoding: chunked", line=b"POST /embed/text HTTP/1.0", body=_CHUNKS + _HIDDEN
    ),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
    **{
        f"version {v!r}": _get(line=b"GET /livez " + v)
        for v in (b"HTTP/1.2", b"HTTP/9.9", b"HTTP/1.1x", b"http/1.1", b"HTTP/1", b"XTTP/1.1")
    },
    "two spaces": _get(line=b"GET  /livez  HTTP/1.1"),
    "tabs": _get(line=b"GET\t/livez\tHTTP/1.1"),
    "no path": _get(line=b"GET HTTP/1.1"),
    "no method": _get(line=b" /livez HTTP/1.1"),
    "a method in lower case": _get(line=b"get /livez HTTP/1.1"),
    "a strange method": _get(line=b"G\0T /livez HTTP/1.1"),
    "a long method": _get(line=b"A" * 50_000 + b" /livez HTTP/1.1"),
    "dots": _get(line=b"GET /../../etc/passwd HTTP/1.1"),
    "percent signs": _get(line=b"GET /%2e%2e/%00%ff%zz HTTP/1.1"),
    "an expectation": _post(_LENGTH, b"expect: 100-continue"),
    "a strange expectation": _post(_LENGTH, b"expect: the-unexpected"),
    "an upgrade": _get(
        b"connection: upgrade",
        b"upgrade: websocket",
        b"sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==",
        b"sec-websocket-version: 13",
    ),
    "an upgrade to HTTP/2": _get(
        b"connection: upgrade, http2-settings", b"upgrade: h2c", b"http2-settings: AAMAAABkAAQAAP__"
    ),
    "hop by hop": _post(b"connection: content-length, host", _LENGTH),
    "a body of GET": _get(b"content-length: %d" % len(_HIDDEN)) + _HIDDEN,
    "TLS": b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(500),
    "SSH": b"SSH-2.0-OpenSSH_9.9\r\n",
    "a PROXY header": b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + _get(),
    "a PROXY header, version 2": b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12) + _get(),
    "lines before": b"\r\n" * 1000 + _get(),
    "nothing": b"",
    "NULs": bytes(5000),
}


def broken(count: int, seed: int) -> Iterator[bytes]:
    """Every case as it is, then mutations of them."""
    yield from CASES.values()
    chance = random.Random(seed)
    cases = [case for case in CASES.values() if 0 < len(case) < 3000]
    for _ in range(count - len(CASES)):
        data = bytearray(chance.choice(cases))
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(data) + 1)
            match chance.randrange(4):
                case 0:
                    data[at : at + 1] = bytes([chance.choice(b"\0\t\n\r :;,\x0b\x7f\x80\xff019azAZ%/")])
                case 1:
                    del data[at : at + chance.randint(1, 8)]
                case 2:
                    data[at:at] = data[at : at + chance.randint(1, 30)]
                case _:
                    data[at:at] = chance.choice(
                        [b"\r\n", b"\n", b"\r", b"\0", b" ", b"chunked", b"content-length: 3\r\n"]
                    )
        yield bytes(data)
