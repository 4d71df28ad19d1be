"""The replica's end: `deployments.serve_internals.rpc`."""

import warnings
from types import SimpleNamespace
from typing import Any

import pytest

from app.errors import InternalError, ModelUnavailable
from deployments.messages import EncodeReply
from tests.support.aio import until
from tests.support.rpc_pair import (
    MAX_ONGOING,
    METHODS,
    Accounting,
    Target,
    paired,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")

    from deployments.clip import Clip
    from deployments.serve_internals import probe, rpc
    from deployments.text_encoder import TextEncoder

pytestmark = pytest.mark.usefixtures("without_serve")


async def test_the_secret_is_hex_in_the_metadata_and_another_for_each_replica() -> None:
    async with paired() as one, paired() as other:
        secrets = [pair.metadata["secret"] for pair in (one, other)]
        assert [len(bytes.fromhex(secret)) for secret in secrets] == [32, 32]
        assert secrets[0] != secrets[1]
        assert one.metadata["methods"] == ["encode_images", "encode_texts"]


async def test_what_the_method_raises_arrives_by_its_code() -> None:
    async with paired() as pair:
        await pair.connected()
        with pytest.raises(ModelUnavailable) as raised:
            await pair.send("fails").get_async()
        assert (raised.value.message, raised.value.retry_after) == ("small-model is unavailable.", 30)
        with pytest.raises(InternalError, match=r"^A deployment failed unexpectedly\.$"):
            await pair.send("breaks").get_async()
        assert pair.accounting.errors == [True, True]
        assert (pair.accounting.under_way, pair.accounting.places) == (0, 0)


@pytest.mark.parametrize("head", [b"", b"[]", b"{", b'{"method": 1}', b'{"method": "tokens"}', b"\x80"])
async def test_a_call_that_can_not_be_read_is_an_error_and_holds_no_place(head: bytes) -> None:
    async with paired() as pair:
        await pair.connected()
        connection = pair.replica._connection  # noqa: SLF001
        assert connection is not None
        with pytest.raises(Exception, match=r"unexpectedly|lacks"):
            await connection.call(head)
        assert (pair.accounting.under_way, pair.accounting.places) == (0, 0)
        assert isinstance(await pair.send("a").get_async(), EncodeReply)


async def test_a_method_that_is_not_among_them_is_not_called() -> None:
    async with paired("encode_images") as pair:
        pair.replica._methods = frozenset(METHODS)  # noqa: SLF001
        await pair.connected()
        with pytest.raises(InternalError):
            await pair.send("a").get_async()


async def test_a_replica_that_drains_refuses_and_finishes_what_it_has() -> None:
    async with paired() as pair:
        await pair.connected()
        result = pair.send("hangs")
        await until(lambda: len(pair.target.open) == 1)
        pair.accounting.is_draining = True
        heard = await pair.send("a").get_rejection_response()
        assert (heard.accepted, heard.num_ongoing_requests) == (False, MAX_ONGOING)
        pair.target.open[0].set_result(None)
        assert (await result.get_rejection_response()).accepted
        assert isinstance(await result.get_async(), EncodeReply)


async def test_work_that_others_cancelled_is_answered() -> None:
    async with paired() as pair:
        await pair.connected()
        result = pair.send("hangs")
        await until(lambda: len(pair.target.open) == 1)
        pair.target.open[0].cancel()
        with pytest.raises(InternalError):
            await result.get_async()


@pytest.mark.parametrize("deployment", [TextEncoder, Clip])
async def test_encoders_tell_serve_of_their_server(monkeypatch: pytest.MonkeyPatch, deployment: Any) -> None:
    opened: list[tuple[str, ...]] = []

    async def opens(target: Any, *methods: str, setting: str) -> tuple[None, dict[str, Any]]:
        opened.append((setting, *methods))
        assert all(callable(getattr(target, method)) for method in methods)
        return None, {"rpc": {}}

    monkeypatch.setattr(f"{deployment.record_replica_metadata.__module__}.serve_rpc", opens)
    # Not one of its own: Serve awaits an encoder's end.
    target = SimpleNamespace(
        encode_texts=deployment.encode_texts,
        encode_images=len,
        status=deployment.status,
        _serve_bypass="require",
        rpc_methods=deployment.rpc_methods,
    )
    assert await deployment.record_replica_metadata(target) == {"rpc": {}}
    images = () if deployment is TextEncoder else ("encode_images",)
    assert opened == [("require", "encode_texts", "status", *images)]


async def test_an_address_that_is_not_this_nodes_makes_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc, "get_node_ip_address", lambda: "203.0.113.7")
    monkeypatch.setattr(rpc, "own_accounting", Accounting)
    monkeypatch.setattr(probe, "why_not", lambda part: None)
    assert await rpc.serve_rpc(Target(), "encode_texts") == (None, {})
    with pytest.raises(RuntimeError, match="require"):
        await rpc.serve_rpc(Target(), "encode_texts", setting="require")


async def test_a_server_on_the_loopback_address_of_ipv6_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc, "get_node_ip_address", lambda: "::1")

    async with paired() as pair:
        assert pair.metadata["host"] == "::1"
        await pair.connected()
        assert isinstance(await pair.send("a").get_async(), EncodeReply)


@pytest.mark.parametrize("setting", ["off", ("middleware",)])
async def test_no_port_is_opened_where_the_setting_says_so(monkeypatch: pytest.MonkeyPatch, setting: Any) -> None:
    monkeypatch.setattr(probe, "why_not", lambda part: None)
    assert await rpc.serve_rpc(Target(), "encode_texts", setting=setting) == (None, {})


async def test_a_process_that_is_no_replica_of_serves_opens_no_server() -> None:
    assert await rpc.serve_rpc(Target(), "encode_texts") == (None, {})
    with pytest.raises(RuntimeError, match="no replica of Serve's"):
        await rpc.serve_rpc(Target(), "encode_texts", setting="require")
