"""Guards of RPC connections."""

from typing import Final

from tests.negative_controls.mutation import Mutation

M = Mutation

CONNECTION: Final = "app/rpc/connection.py"
SERVER: Final = "app/rpc/server.py"
FRAMES: Final = "app/rpc/frames.py"
ENDPOINT: Final = "deployments/serve_internals/rpc.py"
REPLICA: Final = "deployments/serve_internals/rpc_replica.py"
CALLS: Final = "tests/unit/rpc/test_connection.py"
HANDSHAKE: Final = "tests/unit/rpc/test_handshake.py"
SERVE: Final = " ".join(
    f"tests/unit/deployments/serve_internals/test_rpc{part}.py" for part in ("", "_replica", "_router")
)
MESSAGES: Final = "tests/unit/deployments/test_messages.py"

RPC: Final = [
    M("RPC: a caller proves the secret", SERVER, "self._expected and hmac.compare_digest(head, self._expected)", "self._expected", HANDSHAKE),
    M("RPC: no proof before a challenge", SERVER, "kind == frames.PROOF and self._expected and", "kind == frames.PROOF and", HANDSHAKE),
    M("RPC: one hello a connection", SERVER, "kind == frames.HELLO and not self._expected and", "kind == frames.HELLO and", HANDSHAKE),
    M("RPC: the protocol's number", SERVER, "if (magic, protocol) != (frames.MAGIC, frames.PROTOCOL):", "if magic != frames.MAGIC:", HANDSHAKE),
    M("RPC: a server proves the secret", CONNECTION, "            and hmac.compare_digest(shown, proof(self._secret, frames.SERVER, self._nonce, nonce))\n", "", HANDSHAKE),
    M("RPC: no welcome before a challenge", CONNECTION, "kind == frames.WELCOME and self._is_proved", "kind == frames.WELCOME", HANDSHAKE),
    M("RPC: a proof is of one role", FRAMES, "(role, PROTOCOL)", '(b"any", PROTOCOL)', HANDSHAKE),
    M("RPC: a proof is of one connection", FRAMES, "client_nonce + server_nonce", "client_nonce", HANDSHAKE),
    M("RPC: strangers send little", SERVER, "super().__init__(frames.MAX_HANDSHAKE_BYTES)", "super().__init__(frames.MAX_BYTES)", HANDSHAKE),
    M("RPC: strangers have a time limit", SERVER, "call_later(HANDSHAKE_S,", "call_later(3600,", HANDSHAKE),
    M("RPC: who is known has none", SERVER, "            self._is_known = True\n            self._timeout.cancel()\n", "            self._is_known = True\n", HANDSHAKE),
    M("RPC: strangers are bounded", SERVER, "if len(self._handshakes) > MAX_HANDSHAKES:", "if False:", HANDSHAKE),
    M("RPC: who is known is no stranger", SERVER, "            self._server.authenticated(self)\n", "", HANDSHAKE),
    M("RPC: a stranger is logged once", SERVER, "if address not in self._logged and", "if", HANDSHAKE),
    M("RPC: few strangers are logged", SERVER, " and len(self._logged) < MAX_LOGGED:", ":", HANDSHAKE),
    M("RPC: the size of a frame", FRAMES, "if head_size + body_size > self.max_bytes:", "if False:", CALLS),
    M("RPC: the size of a call", CONNECTION, "if len(head) + len(body) > self.max_bytes:", "if False:", CALLS),
    M("RPC: a silent end is asked", CONNECTION, "                self.write(frames.PING, 0)\n", "                pass\n", CALLS),
    M("RPC: a dead end is given up", CONNECTION, "if self._heard_at < asked_at and self.is_open:", "if False:", CALLS),
    M("RPC: calls are lost with their connection", CONNECTION, '                future.set_exception(ConnectionLost("the other end is gone"))\n', "                pass\n", CALLS),
    M("RPC: work ends with its caller", SERVER, "            task.cancel()\n\n    def refuse", "            pass\n\n    def refuse", CALLS),
    M("RPC: a number is of one call", SERVER, "if number in self.tasks:", "if False:", CALLS),
    M("RPC: a server that ends refuses", SERVER, "            if self._server.is_closing:\n", "            if False:\n", CALLS),
    M("RPC: a closed connection finishes its calls", CONNECTION, "        self._is_closing = True\n        if not self._calls:\n", "        self._is_closing = True\n        if True:\n", CALLS),
    M("RPC: a closed connection ends", CONNECTION, "        if self._is_closing and not self._calls:\n", "        if False:\n", CALLS),
    M("RPC: unknown errors have one text", "app/rpc/errors.py", "        error = InternalError(UNKNOWN)\n    return", "        error = InternalError(str(error))\n    return", CALLS),
    M("RPC: a full replica refuses", ENDPOINT, "if accounting.is_full or", "if", SERVE),
    M("RPC: a replica that drains refuses", ENDPOINT, " or accounting.is_draining:", ":", SERVE),
    M("RPC: a call has a place", ENDPOINT, "        await accounting.enter()", "        pass", SERVE),
    M("RPC: a place is given back", ENDPOINT, "            accounting.leave()\n", "", SERVE),
    M("RPC: calls are under way", ENDPOINT, "            accounting.called(began, error)\n", "", SERVE),
    M("RPC: no server beside Ray's TLS", "deployments/serve_internals/probe.py", "if ray_uses_tls():", "if False:", "tests/unit/deployments/serve_internals/test_probe.py"),
    M("RPC: attempts back off", REPLICA, "self._retry_s = min(2 * self._retry_s, MAX_RETRY_S)", "pass", SERVE),
    M("RPC: attempts are some time apart", REPLICA, "is_free and self._clock() >= self._not_before", "is_free", SERVE),
    M("RPC: one protocol", REPLICA, 'server if server.get("protocol") == PROTOCOL else {}', "server", SERVE),
    M("RPC: only its own methods", REPLICA, "metadata.call_method in self._methods and", "self._methods and", SERVE),
    M("RPC: a lost connection is a lost replica", REPLICA, "except (CallRefused, ConnectionLost):", "except ZeroDivisionError:", SERVE),
    M("RPC: the router goes elsewhere", REPLICA, "accepted=False, num", "accepted=True, num", SERVE),
    M("RPC: who refuses looks full", REPLICA, "accepted=False, num_ongoing_requests=self._max_ongoing)", "accepted=False, num_ongoing_requests=0)", SERVE),
    M("RPC: a dropped replica is closed", "deployments/serve_internals/router.py", "                replica.close()\n", "                pass\n", SERVE),
    M("a message's missing fields are named", "deployments/messages.py", "if missing := [field for field in needed if field not in given]:", "if missing := []:", MESSAGES),
    M("a message's unknown fields are ignored", "deployments/messages.py", " for name in cls.__slots__ if name in given})", " for name in given})", MESSAGES),
]  # fmt: skip
