"""The guards of what is lost, of overload, of models and of work that nobody waits for. Data only."""

from typing import Final

from tests.negative_controls.mutation import Mutation

M = Mutation

RESCUE: Final = "tests/unit/dispatch/test_retry.py"
COALESCING: Final = "tests/unit/dispatch/test_coalescer.py"
BACKLOG: Final = "tests/unit/dispatch/test_admission.py"
PROBE: Final = "tests/unit/inference/test_health_probe.py"
SERVICE: Final = "tests/unit/service/test_embedding_service.py"
TROUBLE: Final = "tests/unit/api/test_failures.py"
GOLDEN: Final = "tests/models/test_self_test.py"

LOST: Final = [
    M("who killed twice is rejected", "app/dispatch/retry.py", "if loss.begun:", "if False:", RESCUE),
    M("a budget of retries", "app/dispatch/retry.py", "elif not self.budget.spend():", "elif False:", RESCUE),
    M("few retries at once", "app/dispatch/retry.py", "len(self._attempts) < self.width", "True", RESCUE),
    M("no retry after the deadline", "app/dispatch/retry.py", "if lost.ends <= self.clock():", "if False:", RESCUE),
    M("no retry for nobody", "app/dispatch/retry.py", "                attempt.cancel()", "                pass", RESCUE),
    M("the budget's end", "app/dispatch/retry_budget.py", "if self._level < 1:", "if False:", "tests/unit/dispatch/test_retry_budget.py"),
    M("lost items are taken", "app/dispatch/coalescer.py", "if not self.retry(error, wanted):", "if True:", COALESCING),
    M("who froze is missed", "app/dispatch/replica_liveness.py", "        return bool(self._known) and all(replica", "        return bool(self._known) and any(replica", "tests/unit/dispatch/test_replica_liveness.py"),
    M("who hangs does not get on", "app/dispatch/replica_liveness.py", "        if batches != replica.batches:\n", "        if True:\n", "tests/unit/dispatch/test_replica_liveness.py"),
    M("what was let go is asked for", "app/cache/client.py", "or key in self._let_go or", "or", "tests/unit/cache/test_client.py"),
    M("a repeated key is no new one", "app/cache/recent_keys.py", "            return  # it is", "            pass  # it is", "tests/unit/cache/test_recent_keys.py"),
    M("refused here, asked for there", "app/cache/client.py", "                self._hurry.set()  # nobody has it", "                pass  # nobody has it", "tests/unit/cache/test_client_gathering.py"),
    M("who comes back is company", "app/cache/shared.py", " or self.clock() - known.seen > self.lease_s", "", "tests/unit/cache/test_shared_news.py"),
    M("a failed run is looked into", "app/inference/health_probe.py", "            self._doubted = True\n", "            pass\n", PROBE),
    M("a pushed out key is told", "app/cache/lru.py", "                self.evicted(oldest)\n", "                pass\n", "tests/unit/cache/test_client.py"),
    M("patience has an end", "app/dispatch/adaptive_timeout.py", "now < began + self.most_s and ", "", "tests/unit/dispatch/test_adaptive_timeout.py"),
    M("rejected items are named", "app/service/embedding_service.py", "return result.named(param, RequestRejected)", "return result", TROUBLE),
]  # fmt: skip

OVERLOAD: Final = [
    M("the queue is looked at", "app/dispatch/coalescer.py", "            self.admission.check(items, self._waited_s())\n", "            pass\n", COALESCING),
    M("a flood is refused at the door", "app/dispatch/load_shedding.py", "if self._looks < 1:", "if False:", "tests/unit/dispatch/test_load_shedding.py"),
    M("requests at the door are under way", "deployments/serve_internals/accounting.py", "        self._metrics.inc_num_ongoing_requests(self._kind)\n", "", "tests/unit/deployments/serve_internals/test_bypass_middleware.py"),
    M("requests at the door end", "deployments/serve_internals/accounting.py", "began) * 1e3\n        self._metrics.dec_num_ongoing_requests(self._kind)\n", "began) * 1e3\n", "tests/unit/deployments/serve_internals/test_bypass_middleware.py"),
    M("Serve's own routes are its own", "deployments/serve_internals/bypass_middleware.py", ' or scope["path"].startswith(SERVES_OWN)', "", "tests/unit/deployments/serve_internals/test_bypass_middleware.py"),
    M("a full replica's requests wait", "deployments/serve_internals/bypass_middleware.py", "(accounting is None or accounting.is_full)", "accounting is None", "tests/unit/deployments/serve_internals/test_bypass_middleware.py"),
    M("who leaves ends his work", "app/api/middleware/disconnect.py", "        self._task.cancel()\n", "", "tests/unit/api/test_disconnect.py"),
    M("who is cancelled did not leave", "app/api/middleware/disconnect.py", "and self._task.uncancel() == 0", "and (self._task.uncancel(), True)[1]", "tests/unit/api/test_disconnect.py"),
    M("the secret of a line", "app/rpc/server.py", "if kind != SECRET or not hmac.compare_digest(payload, self._server.secret[:HALF]):", "if False:", "tests/unit/rpc/test_rpc.py"),
    M("the answering end's secret", "app/rpc/connection.py", "if kind != WELCOME or not hmac.compare_digest(payload, self._secret[HALF:]):", "if False:", "tests/unit/rpc/test_rpc.py"),
    M("patience ends with the secret", "app/rpc/server.py", "            self._known = True\n            self._patience.cancel()\n", "            self._known = True\n", "tests/unit/rpc/test_rpc.py"),
    M("a silent line is asked", "app/rpc/connection.py", "                self.say(PING, 0)\n", "                pass\n", "tests/unit/rpc/test_rpc.py"),
    M("a deaf line is ended", "app/rpc/connection.py", "if self._heard_at < asked_at and self.is_open:", "if False:", "tests/unit/rpc/test_rpc.py"),
    M("a place at the door", "deployments/serve_internals/bypass_middleware.py", "            await accounting.enter()\n", "            pass\n", "tests/unit/deployments/serve_internals/test_bypass_middleware.py"),
    M("a lost line rests", "deployments/serve_internals/rpc_replica.py", " and time.monotonic() >= self._not_before", "", "tests/unit/deployments/serve_internals/test_rpc.py"),
    M("patience with a stranger on a line", "app/rpc/server.py", "call_later(SECRET_S, self.transport.abort)", "call_later(3600, self.transport.abort)", "tests/unit/rpc/test_rpc.py"),
    M("size of a frame", "app/rpc/connection.py", "if size > self.most_bytes:", "if False:", "tests/unit/rpc/test_rpc.py"),
    M("calls lost with a line", "app/rpc/connection.py", "                future.set_exception(ConnectionLost(\"the other end is gone\"))\n", "                pass\n", "tests/unit/rpc/test_rpc.py"),
    M("work ends with its caller's line", "app/rpc/server.py", "            task.cancel()\n\n    def arrived", "            pass\n\n    def arrived", "tests/unit/rpc/test_rpc.py"),
    M("only a line's own methods", "deployments/serve_internals/rpc_replica.py", "metadata.call_method in self._methods and", "self._methods and", "tests/unit/deployments/serve_internals/test_rpc.py"),
    M("calls on a line are under way", "deployments/serve_internals/rpc.py", "            self._accounting.called(began, error)\n", "            pass\n", "tests/unit/deployments/serve_internals/test_rpc.py"),
    M("a short way waits for those who wait", "deployments/serve_internals/router.py", "near and not self.num_pending_requests", "near", "tests/unit/deployments/serve_internals/test_router.py"),
    M("a short way asks none that is unknown", "deployments/serve_internals/router.py", "self._accepts(id_) and self", "self", "tests/unit/deployments/serve_internals/test_router.py"),
    M("a short way's lost replica is told", "deployments/serve_internals/direct_call.py", "            lost = error\n", "            pass\n", "tests/unit/deployments/serve_internals/test_direct_call.py"),
    M("a short way's call ends", "deployments/serve_internals/direct_call.py", "            router.decrement_queue_len_cache(id_)\n", "            pass\n", "tests/unit/deployments/serve_internals/test_direct_call.py"),
    M("a short way is for its loop", "deployments/serve_internals/direct_call.py", "is not asyncio.get_running_loop()", "is None", "tests/unit/deployments/serve_internals/test_direct_call.py"),
    M("a line is for its own methods", "deployments/serve_internals/rpc_replica.py", "return method in self._methods and self", "return self", "tests/unit/deployments/serve_internals/test_rpc.py"),
    M("a lost line is a lost replica", "deployments/serve_internals/rpc_replica.py", "except ConnectionLost:", "except ZeroDivisionError:", "tests/unit/deployments/serve_internals/test_rpc.py"),
    M("large calls leave others enough", "app/dispatch/coalescer.py", "len(self._queue) >= DEEP * self.full * width and ", "", COALESCING),
    M("nothing is spent on what is refused", "app/service/embedding_service.py", "                raise refusal\n", "                pass\n", "tests/unit/service/test_embedding_service.py"),
    M("answered work waits no longer", "app/dispatch/coalescer.py", "            admission.waiting -= units\n", "            pass\n", COALESCING),
    M("a measured rate", "app/dispatch/coalescer.py", "            admission.ran(units, began)\n", "", COALESCING),
    M("the longest queue", "app/dispatch/admission.py", "wait > self.queue_s or ", "", BACKLOG),
    M("the deadline of a queue", "app/dispatch/admission.py", " or wait + self.cost(items) / self.rate > self.deadline_s", "", BACKLOG),
    M("no refusal on an estimate", "app/dispatch/admission.py", "waited_s < WAITED_SHARE * self.queue_s", "False", BACKLOG),
    M("idle models are not slow", "app/dispatch/admission.py", "self.waiting > units - CALL_UNITS or units / seconds > self.rate", "True", BACKLOG),
    M("an outage is told", "deployments/remote_encoder.py", "        admission.ignore_outage(sent, admission.clock() - reply.took_ms / 1e3)\n", "", "tests/unit/deployments/test_remote_encoder.py"),
    M("an outage is no slowness", "app/dispatch/admission.py", "if begun - sent > NOBODY_S:", "if False:", BACKLOG),
    M("a slow arrival counts", "app/dispatch/admission.py", "if begun - sent > NOBODY_S:", "if True:", BACKLOG),
    M("calls of a batch", "app/dispatch/coalescer.py", "if len(batch) >= full and", "if False and", COALESCING),
    M("small jobs one after the other", "app/inference/batch_queue.py", "if items == self.max_items or (items and tokens + padded > self.max_tokens):", "if True:", "tests/unit/inference/test_batch_queue.py"),
    M("the fewest calls", "app/dispatch/least_outstanding.py", "if counts[receiver] == least", "if True", "tests/unit/dispatch/test_least_outstanding.py tests/unit/deployments/serve_internals/test_router.py"),
    M("promised calls", "app/dispatch/least_outstanding.py", "        self._promised.append((now, chosen))\n", "", "tests/unit/dispatch/test_least_outstanding.py"),
    M("calls that ended", "deployments/serve_internals/router.py", "        self.calls.ended(replica_id)\n", "", "tests/unit/deployments/serve_internals/test_router.py"),
    M("a queue for each tower", "deployments/engine.py", "self._slots = [self", "self._slots = Tower.shared = getattr(Tower, 'shared', None) or [self", "tests/unit/deployments/test_engine.py"),
    M("a queue for each slot", "deployments/engine.py", "await self._slots[slot](part)", "await self._slots[0](part)", "tests/unit/deployments/test_engine.py"),
    M("alone only where it is quiet", "app/inference/scheduler.py", "not self._busy and self._quiet and", "not self._busy and", "tests/unit/inference/test_scheduler_streams.py"),
    M("nothing beside what runs alone", "app/inference/scheduler.py", "free if alone and self.streams > 1 else free[:1]", "free[:1]", "tests/unit/inference/test_scheduler_streams.py"),
    M("every form proves itself", "app/encoders/text.py", ", *([self.run_alone(batch)] if self._runner.alone is not self._runner else [])", "", "tests/models/test_forms.py"),
    M("the last batches in even parts", "app/inference/batch_queue.py", "(parts := max(least, free)) > 1", "(parts := 1) > 1", "tests/unit/inference/test_batch_queue.py"),
    M("who is not alone is not waited for", "app/cache/client.py", "            if word.sole:\n", "            if True:\n", "tests/unit/cache/test_client_gathering.py"),
    M("calls overlap", "app/dispatch/admission.py", "max(began, self._answered_at)", "began", BACKLOG),
    M("a rate of late", "app/dispatch/admission.py", "self._work * keep", "self._work", BACKLOG),
    M("images that can't be decoded in time", "app/dispatch/admission.py", "        self.check(items, now - next(iter(self._taken.values()), now))\n", "", "tests/unit/images/test_reader.py"),
    M("a deadline of decoding", "app/images/reader.py", "async with asyncio.timeout(deadline_s):", "async with asyncio.timeout(None):", "tests/unit/images/test_reader.py"),
    M("a batch refused is a 429", "app/api/endpoints/batch.py", "    _check_taken(outcomes)\n", "", TROUBLE),
]  # fmt: skip

MODELS: Final = [
    M("golden vectors", "app/encoders/self_test.py", "if cosine < LEAST_COSINE or ratio > LENGTH_TOLERANCE:", "if False:", GOLDEN),
    M("no recording of nonsense", "app/encoders/self_test.py", "    _sane(made, weights.id)\n", "", GOLDEN),
    M("golden vectors of one reading", "app/encoders/self_test.py", "[weights.sha256, *pooling,", "[weights.sha256,", GOLDEN),
    M("faults of the device", "app/inference/health_probe.py", "            probe.result()\n", "", PROBE),
    M("one probe at a time", "app/inference/health_probe.py", "if self._probe is None:", "if True:", PROBE),
    M("a run that hangs beside others", "app/inference/health_probe.py", "self.clock() - began > HUNG_S", "False", PROBE),
    M("a device that hangs", "app/inference/health_probe.py", "self.clock() - self._worked_at > HUNG_S", "False", PROBE),
]  # fmt: skip

LEFT: Final = [
    M("who leaves is counted out", "app/service/embedding_service.py", "                self._flights.leave(flights, encoder)\n", "                pass\n", SERVICE),
    M("work for nobody ends", "app/service/single_flight.py", "                    flight.source.cancel()\n", "                    pass\n", SERVICE),
    M("calls for nobody end", "app/dispatch/coalescer.py", "                call.cancel()\n", "                pass\n", COALESCING),
    M("what is asked anew is another flight", "app/service/single_flight.py", "                continue  # given up, and maybe begun anew\n", "                pass\n", SERVICE),
]  # fmt: skip

START: Final = [
    M("health waits for every model", "app/api/endpoints/health.py", '"loading" not in states and ', "", "tests/unit/api/test_health.py"),
    M("health needs a text model", "app/api/endpoints/health.py", '(not text or "ready" in text)', "True", "tests/unit/api/test_health.py"),
    M("health tells of the cache", "app/api/endpoints/health.py", "if not figures.available:", "if False:", "tests/unit/api/test_health.py"),
    M("environment over .env", "app/__main__.py", 'load_dotenv(".env")', 'load_dotenv(".env", override=True)', "tests/unit/test_env_file.py"),
    M("a start that is tried again", "deployments/ray_cluster.py", "if attempt == ATTEMPTS:", "if True:", "tests/unit/deployments/test_ray_cluster.py"),
    M("processes that are not Ray's", "app/system/processes.py", "p.pid not in spared and ", "", "tests/unit/deployments/test_ray_cluster.py"),
]  # fmt: skip

RELIABILITY: Final = [*LOST, *OVERLOAD, *MODELS, *LEFT, *START]
