import hmac
from hashlib import sha256

import pytest

from app.auth import api_keys
from app.auth.api_keys import ApiKey, KeyRing, parse
from app.errors import Forbidden, Unauthorized
from app.words import KeyScope
from tests.support.keys import NOW, line


def test_a_line_is_read_and_written_alike() -> None:
    text = line("s", "acme-2", "admin,embed", "expires=2027-03-01T00:00:00Z requests=600 tokens=0")
    ring = parse(["# ours", "", f"{text}  # until spring"], NOW)
    key = ring.admit(b"s", "embed", NOW)
    assert key == ApiKey(
        "acme-2", frozenset({"embed", "admin"}), sha256(b"s").digest(), 1_803_859_200.0, requests=600, tokens=0
    )
    assert key.line == text


def test_made_keys_are_long_different_and_work() -> None:
    made = [api_keys.make("acme", ["embed", "read"], NOW + 60) for _ in range(50)]
    secrets = {secret for secret, _ in made}
    assert len(secrets) == 50
    # 32 random bytes behind the prefix.
    assert all(secret.startswith("emb_") and len(secret) == 4 + 43 for secret in secrets)
    for secret, key in made:
        assert secret not in key.line
        assert parse([key.line], NOW).admit(secret.encode(), "read", NOW) == key


@pytest.mark.parametrize("secret", [None, b"", b"S", b"s ", b"ss", sha256(b"s").hexdigest().encode(), b"\xff\x00"])
def test_invalid_keys_are_rejected(secret: bytes | None) -> None:
    with pytest.raises(Unauthorized):
        parse([line("s")], NOW).admit(secret, "embed", NOW)
    with pytest.raises(Unauthorized):
        KeyRing().admit(secret, "embed", NOW)


@pytest.mark.parametrize(("scopes", "asked"), [("embed,read", "admin"), ("admin", "read"), ("read", "embed")])
def test_scopes_are_checked(scopes: str, asked: KeyScope) -> None:
    with pytest.raises(Forbidden, match=f"scope `{asked}`"):
        parse([line("s", scopes=scopes)], NOW).admit(b"s", asked, NOW)


def test_key_expiry() -> None:
    ring = parse([line("s", rest="expires=2027-01-15T08:00:01+00:00")], NOW)
    assert ring.admit(b"s", "embed", NOW + 0.9).tenant == "acme"
    with pytest.raises(Unauthorized, match="expired"):
        ring.admit(b"s", "embed", NOW + 1)
    assert (ring.live(NOW), ring.live(NOW + 1)) == (1, 0)


def test_every_key_is_compared_to_its_end_wherever_the_right_one_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(other)
        return hmac_compare(one, other)

    hmac_compare = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", compare)
    names = [f"t{i}" for i in range(5)]
    ring = parse([line(name, tenant=name) for name in names], NOW)
    for name in names:
        compared.clear()
        assert ring.admit(name.encode(), "embed", NOW).tenant == name
        assert compared == [sha256(other.encode()).digest() for other in names]
    compared.clear()
    with pytest.raises(Unauthorized):
        ring.admit(b"none", "embed", NOW)
    assert len(compared) == 5


def test_two_live_keys_of_a_tenant_and_any_number_of_dead_ones() -> None:
    old = [line(f"old{i}", rest="expires=2020-01-01") for i in range(3)]
    ring = parse([*old, line("now"), line("next"), line("other", tenant="b")], NOW)
    assert [ring.admit(secret, "embed", NOW).tenant for secret in (b"now", b"next", b"other")] == ["acme", "acme", "b"]
    with pytest.raises(ValueError, match="tenant acme has 3 live keys"):
        parse([line("now"), line("next"), line("third")], NOW)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("acme embed", "needs a tenant"),
        ("acme embed emb_the-key-itself", "must be a SHA-256"),
        (line("s").upper(), "must be a SHA-256"),
        (line("s", scopes="embed,write"), "scopes must be some of admin, embed, read"),
        (line("s", scopes="embed,"), "scopes must be"),
        (line("s", tenant="-a"), "a tenant must be"),
        (line("s", tenant="a" * 65), "a tenant must be"),
        (line("s", rest="expires=soon"), "expires= must be a time"),
        (line("s", rest="requests=-1"), "requests= must be a whole number"),
        (line("s", rest="tokens=²"), "tokens= must be a whole number"),
        (line("s", rest="expire=2027-01-01"), "after the SHA-256"),
        (line("s", rest="tokens=1 tokens=2"), "after the SHA-256"),
    ],
)
def test_a_wrong_line_is_named_by_its_number_and_never_quoted(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=f"^line 2: .*{words}") as error:
        parse(["# keys", text], NOW)
    assert "the-key-itself" not in str(error.value)


def test_one_key_twice_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="twice"):
        parse([line("s", "a"), line("s", "b")], NOW)
