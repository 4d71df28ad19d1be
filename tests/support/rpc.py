"""RPC servers and connections on loopback, and raw peers that speak to them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from app.rpc.connection import RpcConnection
from app.rpc.server import Answer, RpcServer
from tests.support.aio import turns, until

SECRET = b"s" * 32
HOST = "127.0.0.1"


@asynccontextmanager
async def rpc_server(answer: Answer, host: str = HOST) -> AsyncIterator[tuple[RpcServer, int]]:
    server = RpcServer(answer, SECRET)
    port = await server.start(host)
    try:
        yield server, port
    finally:
        await server.close()
        await until(lambda: not server.connections)
        await turns()  # until transports are closed that were aborted


async def closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


async def ended(connection: RpcConnection) -> None:
    connection.transport.close()
    await until(lambda: not connection.is_open)


async def echo(head: bytes, body: bytes) -> tuple[bytes, bytes]:
    return head, body
