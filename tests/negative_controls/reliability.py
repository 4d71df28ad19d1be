"""The guards of what is lost, of overload, of models and of work that nobody waits for. Data only."""

from typing import Final

from tests.negative_controls.mutation import Mutation

M = Mutation

RETRY: Final = "tests/unit/dispatch/test_retry.py"
LEAN: Final = "tests/unit/local/test_lean_serve.py"
ANTICIPATION: Final = "tests/unit/dispatch/test_anticipation.py"
COALESCING: Final = " ".join(f"tests/unit/dispatch/test_coalescer{part}.py" for part in ("", "_failures", "_admission"))
FAIRNESS: Final = "tests/unit/dispatch/test_fairness.py tests/unit/inference/test_batch_queue.py"
ADMISSION: Final = "tests/unit/dispatch/test_admission.py"
PROBE: Final = "tests/unit/inference/test_health_probe.py"
SERVICE: Final = "tests/unit/service/test_embedding_service.py"
TROUBLE: Final = "tests/unit/api/test_failures.py"
CLIENT: Final = "clients/python/src/embeddings_client/"
GOLDEN: Final = "tests/models/test_self_test.py"

LOST: Final = [
    M("who killed twice is rejected", "app/dispatch/retry.py", "    if not loss.begun:\n", "    if True:\n", RETRY),
    M("a budget of retries", "app/dispatch/retry.py", "elif not self.budget.spend():", "elif False:", RETRY),
    M("few retries at once", "app/dispatch/retry.py", "len(self._attempts) < self.width", "True", RETRY),
    M("no retry after the deadline", "app/dispatch/retry.py", "if lost.ends <= self.clock():", "if False:", RETRY),
    M("no retry for nobody", "app/dispatch/retry.py", "                task.cancel()", "                pass", RETRY),
    M("the budget's end", "app/dispatch/retry.py", "if self._level < 1:", "if False:", RETRY),
    M("two replicas an item", "app/dispatch/retry.py", "if attempt.alone and not loss.begun:", "if True:", RETRY),
    M("micro-batches of what is silent", "app/dispatch/retry.py", "size = self.batch if loss.silent else 1", "size = 1", RETRY),
    M("each alone after a death", "app/dispatch/retry.py", "size = self.batch if loss.silent else 1", "size = self.batch", "tests/unit/deployments/test_remote_encoder.py"),
    M("retries of no request", "app/dispatch/retry.py", "self._try(attempt), context=Context()", "self._try(attempt)", RETRY),
    M("calls of no request", "app/dispatch/coalescer.py", "self._run(call), context=Context()", "self._run(call)", COALESCING),
    M("two replicas a body", "deployments/remote_call.py", "        if not budget.spend():\n", "        if False:\n", "tests/unit/deployments/test_remote_call.py"),
    M("bodies that wait", "deployments/remote_ranker.py", "if size and self._bytes and self._bytes + size > self._most_bytes:", "if False:", "tests/unit/deployments/test_remote_ranker.py"),
    M("lost items are taken", "app/dispatch/coalescer.py", "if not self.retry(error, wanted):", "if True:", COALESCING),
    M("who froze is missed", "app/dispatch/replica_liveness.py", "        return bool(self._known) and all(replica", "        return bool(self._known) and any(replica", "tests/unit/dispatch/test_replica_liveness.py"),
    M("who hangs does not get on", "app/dispatch/replica_liveness.py", "        if batches != replica.batches:\n", "        if True:\n", "tests/unit/dispatch/test_replica_liveness.py"),
    M("what was squeezed out is asked for", "app/cache/client.py", " and self.near.squeezed_out == self._squeezed_out", "", "tests/unit/cache/test_client.py"),
    M("a put of many requests", "app/cache/write_behind.py", "create_task(work, context=contextvars.Context())", "create_task(work)", "tests/unit/cache/test_client_gathering.py"),
    M("a look-up of many requests", "deployments/named_actor.py", "await asyncio.shield(self._resolving)", "await self._resolving", "tests/unit/deployments/test_named_actor.py"),
    M("blocking calls beside the loop", "deployments/named_actor.py", "await asyncio.get_running_loop().run_in_executor(_gcs_thread, call)", "call()", "tests/unit/deployments/test_named_actor.py"),
    M("an end of blocking calls", "deployments/named_actor.py", "async with asyncio.timeout(deadline_s):", "async with asyncio.timeout(None):", "tests/unit/deployments/test_named_actor.py"),
    M("a lost actor is looked up", "deployments/named_actor.py", "                self._handle = None\n", "                pass\n", "tests/unit/deployments/test_named_actor.py"),
    M("an actor for each lease", "deployments/cache.py", "(bounds, args.lease_s), shard)", "bounds, shard)", "tests/unit/deployments/test_cache.py"),
    M("no shard is asked for nothing", "app/cache/sharded.py", "    if tasks:  #", "    if True:  #", "tests/unit/cache/test_sharded.py"),
    M("every shard is cleared", "app/cache/sharded.py", "shard.clear() for number, shard in enumerate(self.shards)", "shard.clear() for number, shard in enumerate(self.shards[:1])", "tests/unit/cache/test_sharded.py"),
    M("older caches are cleared", "deployments/cache.py", "        if self._shard > 0:\n", "        if True:\n", "tests/unit/deployments/test_cache.py"),
    M("clear without Ray's control store", "deployments/cache.py", "self.actor.call(\"clear\"), self._clear_others(), return_exceptions=True", "self._clear_others(), self._clear_others(), return_exceptions=True", "tests/unit/deployments/test_cache.py"),
    M("a stranger's bytes", "app/rpc/connection.py", "super().__init__(frames.MAX_HANDSHAKE_BYTES)", "super().__init__(frames.MAX_BYTES)", "tests/unit/rpc/test_connection.py"),
    M("one text is no list of letters", CLIENT + "items.py", "isinstance(values, (str, bytes, ", "isinstance(values, (bytes, ", "tests/unit/client/test_clients.py"),
    M("truncation is warned of", CLIENT + "base.py", "if count and not self._warned:", "if False:", "tests/unit/client/test_clients.py"),
    M("truncation is warned of once", CLIENT + "base.py", "if count and not self._warned:", "if count:", "tests/unit/client/test_clients.py"),
    M("an asynchronous generator has its client", CLIENT + "items.py", "if isinstance(values, AsyncIterable):", "if False:", "tests/unit/client/test_generators.py"),
    M("a notebook has a bar", CLIENT + "progress.py", 'if shown is None and "ipykernel.zmqshell" in sys.modules:', "if False:", "tests/unit/client/test_clients.py"),
    M("our own client comes from no index", "Dockerfile", " if name != 'embeddings-client'", "", "tests/unit/k8s/test_dockerfile.py"),
    M("finite in all forms of dot", CLIENT + "similarity.py", "        _refine(metric, query, candidates, far, _untrusted(far, candidates))\n", "", "tests/unit/vectors/test_similarity_order.py"),
    M("a report is added once", "app/telemetry/cluster_metrics.py", "if report.sequence > before:", "if True:", "tests/unit/telemetry/test_cluster_metrics.py"),
    M("who does not answer a read has no gauges", "app/telemetry/cluster_metrics.py", "min(process.woken, process.seen + IDLE_PARK_S)", "process.seen + IDLE_PARK_S", "tests/unit/telemetry/test_cluster_metrics.py"),
    M("a child's end wakes the launcher", "app/system/doze.py", "signal.signal(signal.SIGCHLD, lambda number, frame: None)", "signal.getsignal(signal.SIGCHLD)", "tests/unit/system/test_doze.py"),
    M("a lost report is sent again", "app/telemetry/cluster_metrics.py", "if self._unanswered is None:", "if True:", "tests/unit/telemetry/test_cluster_client.py"),
    M("refused here, asked for there", "app/cache/client.py", "                self.write_behind.hurry.set()  # nobody has it", "                pass  # nobody has it", "tests/unit/cache/test_client_gathering.py"),
    M("a returned client is a second one", "app/cache/shared.py", " or not self._is_live(known)", "", "tests/unit/cache/test_shared_poll.py"),
    M("a failed run is looked into", "app/inference/health_probe.py", "            self._doubted = True\n", "            pass\n", PROBE),
    M("patience has an end", "app/dispatch/adaptive_timeout.py", "now < began + self.most_s and ", "", "tests/unit/dispatch/test_adaptive_timeout.py"),
    M("a required model is looked up", "app/main.py", "    if model.required:\n", "    if False:\n", "tests/unit/deployments/test_main.py"),
    M("a required model has loaded", "deployments/text_encoder.py", "            if args.required:\n", "            if False:\n", "tests/unit/deployments/test_text_encoder.py"),
    M("a hub model has a configuration", "app/encoders/hub.py", 'if not {"config.json", "modules.json"} & set(names):', "if False:", "tests/unit/encoders/test_weights.py"),
    M("rejected items are named", "app/service/embedding_service.py", "return result.named(param, OF_ITEM)", "return result", TROUBLE),
]  # fmt: skip

OVERLOAD: Final = [
    M("the queue is looked at", "app/dispatch/coalescer.py", "            raise refusal\n", "            pass\n", COALESCING),
    M("a flood is refused unseen", "app/dispatch/load_shedding.py", "if self._looks < 1:", "if False:", "tests/unit/dispatch/test_load_shedding.py"),
    M("requests past Serve are under way", "deployments/serve_internals/accounting.py", "        self._metrics.inc_num_ongoing_requests(self._kind)\n", "", "tests/unit/deployments/serve_internals/test_bypass_middleware.py"),
    M("requests past Serve end", "deployments/serve_internals/accounting.py", "began) * 1e3\n        self._metrics.dec_num_ongoing_requests(self._kind)\n", "began) * 1e3\n", "tests/unit/deployments/serve_internals/test_bypass_middleware.py"),
    M("Serve's own routes are its own", "deployments/serve_internals/bypass_middleware.py", 'bool(scope["path"].startswith(SERVES_OWN) or', "bool(", "tests/unit/deployments/serve_internals/test_bypass_middleware.py"),
    M("a full replica's requests wait", "deployments/serve_internals/bypass_middleware.py", "refusal is None and accounting.is_full", "False", "tests/unit/deployments/serve_internals/test_bypass_middleware.py"),
    M("private parts by version", "deployments/serve_internals/probe.py", "if not ray.__version__.startswith(KNOWN_RAY):", "if False:", "tests/unit/deployments/serve_internals/test_probe.py"),
    M("private calls by signature", "deployments/serve_internals/probe.py", "        inspect.signature(function).bind(*args, **kwargs)\n", "        pass\n", "tests/unit/deployments/serve_internals/test_probe.py"),
    M("abstract methods of Ray's", "deployments/serve_internals/probe.py", 'sorted(getattr(cls, "__abstractmethods__", ()))', "[]", "tests/unit/deployments/serve_internals/test_probe.py"),
    M("a bypass that is required", "deployments/serve_internals/probe.py", 'if setting == "require" and lacking:', "if False:", "tests/unit/deployments/serve_internals/test_probe.py"),
    M("a bypass that is off", "deployments/serve_internals/probe.py", ' if setting in ("auto", "require") or part in setting}', "}", "tests/unit/deployments/serve_internals/test_probe.py"),
    M("no RPC port where it is off", "deployments/serve_internals/rpc.py", 'if "rpc" not in probe.decide(setting, ("rpc",)):', "if False:", "tests/unit/deployments/serve_internals/test_rpc.py"),
    M("who leaves ends his work", "app/api/middleware/disconnect.py", "        self._task.cancel()\n", "", "tests/unit/api/test_disconnect.py"),
    M("who is cancelled did not leave", "app/api/middleware/disconnect.py", "and self._task.uncancel() == 0", "and (self._task.uncancel(), True)[1]", "tests/unit/api/test_disconnect.py"),
    M("a place past Serve", "deployments/serve_internals/bypass_middleware.py", "            await accounting.enter()\n", "            pass\n", "tests/unit/deployments/serve_internals/test_bypass_middleware.py"),
    M("large calls leave others enough", "app/dispatch/coalescer.py", "len(self._small) >= DEEP * self.full * width and ", "", COALESCING),
    M("nothing is spent on what is refused", "app/service/embedding_service.py", "                raise refusal\n", "                pass\n", "tests/unit/service/test_embedding_service.py"),
    M("answered work waits no longer", "app/dispatch/coalescer.py", "        self.admission.waiting -= self._calls.pop(task).units\n", "        del self._calls[task]\n", COALESCING),
    M("a measured rate", "app/dispatch/coalescer.py", "            self.admission.ran(call.units, began)\n", "", COALESCING),
    M("the longest queue", "app/dispatch/admission.py", "wait_s > self.queue_s or ", "", ADMISSION),
    M("the deadline of a queue", "app/dispatch/admission.py", " or wait_s + units / self.rate > self.deadline_s", "", ADMISSION),
    M("no refusal on an estimate", "app/dispatch/admission.py", "waited_s < WAITED_SHARE * self.queue_s or ", "", ADMISSION),
    M("idle models are not slow", "app/dispatch/admission.py", "if is_busy or units / seconds > self.rate:", "if True:", ADMISSION),
    M("calls of a batch", "app/dispatch/coalescer.py", "if 2 * len(taken) >= most and", "if False and", COALESCING),
    M("small before large in the encoder", "app/inference/batch_queue.py", "self._small if self._small.items and not is_turn", "self._small if self._small.items and not self._large.items", FAIRNESS),
    M("large ones' share in the encoder", "app/inference/batch_queue.py", "is_turn = self._large.items and", "is_turn = False and", FAIRNESS),
    M("no long batch in reserve", "app/inference/batch_queue.py", "            return False\n", "            pass\n", FAIRNESS),
    M("a large request's calls are told", "app/dispatch/coalescer.py", "seconds, call.large)", "seconds, False)", FAIRNESS),
    M("calls of small requests' own", "app/dispatch/coalescer.py", "sum(call.large == (queue is self._large) for call in self._calls.values())", "len(self._calls)", FAIRNESS),
    M("slices", "app/dispatch/coalescer.py", "max(2 * self.full_units, self.admission.rate * SLICES_S / width)", '10.0**9', COALESCING),
    M("an even part of what is under way", "app/dispatch/coalescer.py", "-(-(self._small.items + self._small_under_way()) // width)", "most", COALESCING),
    M("those who were answered are held for", "app/dispatch/coalescer.py", "2 * calls >= width and self._is_held(width)", "False", f"{COALESCING} {FAIRNESS}"),
    M("nobody is held but beside a call", "app/dispatch/coalescer.py", "2 * calls >= width and ", "", COALESCING),
    M("a costly call is not held", "app/dispatch/coalescer.py", " or self._small.ahead(float(\"inf\")) >= ENOUGH_UNITS", "", COALESCING),
    M("Serve has no pandas", "app/local/lean_serve.py", "fullname == \"pandas\" and ", "False and ", LEAN),
    M("others have pandas", "app/local/lean_serve.py", " and _importer().startswith(SERVE)", "", LEAN),
    M("held as long as they may come", "app/dispatch/anticipation.py", "left <= 0 or ", "", ANTICIPATION),
    M("one timer of those who are held", "app/dispatch/anticipation.py", "if not self._is_timed:", "if True:", ANTICIPATION),
    M("timers that the loop can keep", "app/dispatch/anticipation.py", "max(left, LEAST_S)", "left", ANTICIPATION),
    M("what is done is stored at once", "app/service/single_flight.py", "source.get_loop().call_soon(self._resolve_encoded)", "source.get_loop().call_later(0.02, self._resolve_encoded)", SERVICE),
    M("the fewest calls", "app/dispatch/least_outstanding.py", "if counts[receiver] == least", "if True", "tests/unit/dispatch/test_least_outstanding.py tests/unit/deployments/serve_internals/test_router.py"),
    M("promised calls", "app/dispatch/least_outstanding.py", "        self._promised.append((now, chosen))\n", "", "tests/unit/dispatch/test_least_outstanding.py"),
    M("who hangs is asked", "deployments/serve_internals/router.py", "            self.replica_queue_len_cache.invalidate_key(replica_id)\n", "            pass\n", "tests/unit/deployments/serve_internals/test_router.py"),
    M("who waits comes first", "deployments/serve_internals/router.py", "if not (is_retry or getattr(self, \"_pending_requests_by_id\", True)):", "if True:", "tests/unit/deployments/serve_internals/test_router.py"),
    M("new replicas are met beside the loop", "deployments/serve_internals/router.py", "await asyncio.to_thread(self._met, new)", "self._met(new)", "tests/unit/deployments/serve_internals/test_router.py"),
    M("calls that ended", "deployments/serve_internals/router.py", "        self.calls.ended(replica_id)\n", "", "tests/unit/deployments/serve_internals/test_router.py"),
    M("a queue for each engine", "deployments/engine.py", "self._slots = [self", "self._slots = Engine.shared = getattr(Engine, 'shared', None) or [self", "tests/unit/deployments/test_engine.py"),
    M("a queue for each slot", "deployments/engine.py", "await self._slots[slot](part)", "await self._slots[0](part)", "tests/unit/deployments/test_engine.py"),
    M("exclusive only where it is quiet", "app/inference/scheduler.py", "not self._busy and self._quiet and", "not self._busy and", "tests/unit/inference/test_scheduler_streams.py"),
    M("nothing beside an exclusive run", "app/inference/scheduler.py", "free if exclusive and self.streams > 1 else free[:1]", "free[:1]", "tests/unit/inference/test_scheduler_streams.py"),
    M("a text alone has its branch", "app/encoders/backends/openvino_runner.py", "            model = openvino_lone.with_fixed_lengths(model)\n", "", "tests/models/test_lone_texts.py"),
    M("every profile is tested", "app/encoders/text.py", "for exclusive in model.profiles:", "for exclusive in (False,):", "tests/models/test_contract.py"),
    M("batch sizes in items", "deployments/engine.py", "sum(len(part.indices) for part in slices)", "len(slices)", "tests/unit/deployments/test_engine.py"),
    M("every profile is probed", "deployments/engine.py", "for exclusive in self._model.profiles:", "for exclusive in (False,):", "tests/unit/deployments/test_engine.py"),
    M("the last batches in even parts", "app/inference/batch_queue.py", "(parts := max(least, free)) > 1", "(parts := 1) > 1", "tests/unit/inference/test_batch_queue.py"),
    M("only a sole client gathers for long", "app/cache/client.py", "            if response.sole_client:\n", "            if True:\n", "tests/unit/cache/test_client_gathering.py"),
    M("one slow call", "app/dispatch/admission.py", "units, seconds = _without_slowest([*self._calls])", "units, seconds = map(sum, zip(*self._calls, strict=True))", ADMISSION),
    M("what is done before", "app/dispatch/admission.py", "before = self.waiting if ahead is None else ahead()", "before = self.waiting", ADMISSION),
    M("the smallest first", "app/dispatch/request_queue.py", "if self._passed >= TURN - 1 or not self._requests:", "if True:", "tests/unit/dispatch/test_request_queue.py"),
    M("the oldest has its turn", "app/dispatch/request_queue.py", "self._passed >= TURN - 1 or ", "", "tests/unit/dispatch/test_request_queue.py"),
    M("only word by word", "app/encoders/long_texts.py", "    if not reads_word_by_word(backend):\n        return encode\n", "", "tests/unit/encoders/test_long_texts.py"),
    M("as many tokens as are read", "app/encoders/long_texts.py", "and not _is_enough(one)]", "and False]", "tests/unit/encoders/test_long_texts.py"),
    M("calls that Serve sees", "app/dispatch/coalescer.py", "min(self.max_width() - calls, queue.items // self.full)", "0", COALESCING),
    M("calls overlap", "app/dispatch/admission.py", "max(began, self._answered_at) if is_busy", "began if is_busy", ADMISSION),
    M("a rate of late", "app/dispatch/admission.py", "            self._calls.popleft()\n", "            break\n", ADMISSION),
    M("images that can't be decoded in time", "app/dispatch/admission.py", "            raise refusal\n", "            pass\n", "tests/unit/images/test_reader.py"),
    M("a deadline of decoding", "app/images/reader.py", "async with asyncio.timeout(deadline_s):", "async with asyncio.timeout(None):", "tests/unit/images/test_reader.py"),
    M("a batch refused is a 429", "app/api/endpoints/batch.py", "if all(isinstance(outcome, Overloaded) for outcome in outcomes):", "if False:", TROUBLE),
]  # fmt: skip

MODELS: Final = [
    M("self-test vectors", "app/encoders/self_test.py", "if cosine < least or ratio > LENGTH_TOLERANCE:", "if False:", GOLDEN),
    M("no recording of nonsense", "app/encoders/self_test.py", "if rows is not None and not (np.isfinite(rows).all()", "if False and not (np.isfinite(rows).all()", GOLDEN),
    M("self-test vectors of one reading", "app/encoders/self_test.py", "[weights.sha256, *pooling,", "[weights.sha256,", GOLDEN),
    M("conversions are proven", "app/encoders/backends/proof.py", "if not (cosine >= least and norms <= tolerance):", "if cosine < least:", "tests/unit/encoders/test_proof.py"),
    M("a wrong conversion is not kept", "app/encoders/backends/export.py", '        reason = proofs["f32"]["wrong"]\n', "        reason = None\n", "tests/models/test_families.py"),
    M("a key for each route", "app/service/embedding_service.py", "fingerprint = routes[task] if task is not None else info.fingerprint", "fingerprint = info.fingerprint", "tests/unit/service/test_embedding_service.py"),
    M("segments of tokens", "app/encoders/backends/torch_modules.py", "self.segments = graph.segments if takes else ()", "self.segments = ()", "tests/models/test_segments.py"),
    M("int8 is judged", "app/encoders/backends/int8.py", "cosine >= LEAST_COSINE and spearman >= LEAST_SPEARMAN", "cosine >= LEAST_COSINE", "tests/unit/encoders/test_int8.py"),
    M("no mask with an empty row", "app/encoders/backends/torch_tracing.py", "    return mask | (queries[:, None] == keys[None])\n", "    return mask\n", "tests/models/test_families.py"),
    M("torch where OpenVINO is wrong", "app/encoders/backends/registry.py", "        except Unconvertible as exc:\n", "        except ZeroDivisionError as exc:\n", "tests/unit/encoders/test_registry.py"),
    M("tokens without a vector", "app/encoders/text.py", "if self._vocabulary and ids.max() >= self._vocabulary:", "if False:", "tests/models/test_families.py"),
    M("numbers that are not finite have a code", "deployments/engine.py", "if len(rows) == len(inputs) == 1 and not finite:", "if False:", "tests/unit/deployments/test_engine.py"),
    M("rows of other sizes are looked at too", "deployments/engine.py", "b\"\".join(rows), np.float32) if rows.dtype == object else rows", "bytes(4), np.float32) if rows.dtype == object else rows", "tests/unit/deployments/test_engine.py"),
    M("sizes of entries", "app/cache/entry.py", "    if sizes:\n", "    if False:\n", "tests/unit/cache/test_entry.py"),
    M("few kernels are warmed", "app/encoders/shapes.py", " if length in WARMED or length == lengths[-1] <= LONGEST_WARMED)", ")", "tests/unit/encoders/test_shapes.py"),
    M("faults of the device", "app/inference/health_probe.py", "            probe.result()\n", "", PROBE),
    M("one probe at a time", "app/inference/health_probe.py", "if self._probe is None:", "if True:", PROBE),
    M("a run that hangs beside others", "app/inference/health_probe.py", "self.clock() - began > HUNG_S", "False", PROBE),
    M("a device that hangs", "app/inference/health_probe.py", "self.clock() - self._worked_at > HUNG_S", "False", PROBE),
]  # fmt: skip

LEFT: Final = [
    M("who leaves is counted out", "app/service/embedding_service.py", "                self.flights.leave(flights, encoder)\n", "                pass\n", SERVICE),
    M("work for nobody ends", "app/service/single_flight.py", "                    flight.source.cancel()\n", "                    pass\n", SERVICE),
    M("calls for nobody end", "app/dispatch/coalescer.py", "                task.cancel()\n", "                pass\n", COALESCING),
    M("what is asked anew is another flight", "app/service/single_flight.py", "                continue  # given up, and maybe begun anew\n", "                pass\n", SERVICE),
]  # fmt: skip

START: Final = [
    M("health waits for every model", "app/api/endpoints/operations.py", '"loading" not in states and ', "", "tests/unit/api/test_health.py"),
    M("health needs a text model", "app/api/endpoints/operations.py", '(not text or "ready" in text)', "True", "tests/unit/api/test_health.py"),
    M("health tells of the cache", "app/api/endpoints/operations.py", "if not stats.available:", "if False:", "tests/unit/api/test_health.py"),
    M("environment over .env", "app/__main__.py", 'load_dotenv(".env")', 'load_dotenv(".env", override=True)', "tests/unit/test_env_file.py"),
    M("a start that is tried again", "deployments/ray_cluster.py", "if attempt == ATTEMPTS:", "if True:", "tests/unit/deployments/test_ray_cluster.py"),
    M("processes that are not Ray's", "app/system/processes.py", "p.pid not in spared and ", "", "tests/unit/deployments/test_ray_cluster.py"),
]  # fmt: skip

RELIABILITY: Final = [*LOST, *OVERLOAD, *MODELS, *LEFT, *START]
