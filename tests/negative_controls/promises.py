"""Guards of what the documentation, commands and settings promise."""

from typing import Final

from tests.negative_controls.mutation import Mutation

M = Mutation

BUILD: Final = "tests/unit/deployments/test_main.py"
RERANK: Final = "tests/unit/api/test_rerank.py"
PULL: Final = "tests/unit/cli/test_pull.py"
RELOAD: Final = "tests/unit/local/test_reload.py"
REFERENCE: Final = "tests/unit/docs/test_reference.py"

PROMISES: Final = [
    M("a backup of a text model", "app/config/settings.py", '"text": self.text_backup, ', "", BUILD),
    M("a backup of an image model", "app/config/settings.py", ', "image": self.image_backup', "", BUILD),
    M("errors in a rerank client's form", "app/api/endpoints/rerank.py", "told_by.search(raw)", "False", RERANK),
    M("truncated inputs are counted", "app/api/wire/embeddings.py", "request.state.truncated = truncated_in(result.entries)", "pass", "tests/unit/api/test_truncated.py"),
    M("cosines are named", "app/api/endpoints/rerank.py", "headers |= {\"x-embedding-method\": scores.method}", "pass", RERANK),
    M("token vectors are refused before they are made", "app/service/embedding_service.py", 'if kind == "token":\n            await', "if False:\n            await", "tests/unit/api/test_sparse.py"),
    M("late documents are accounted for", "app/service/chunks.py", "with encoder.track(texts):", "with encoder.track([]):", "tests/unit/api/test_chunks.py"),
    M("a side that is named is cut", "app/encoders/tokenizer.py", "plain.cut in (None, self.cut)", 'plain.cut in (None, "end")', "tests/unit/encoders/test_reading.py"),
    M("a pair is all of its key", "app/cache/keys.py", 'len(data).to_bytes(8, "big") + data for', "data for", "tests/unit/cache/test_keys.py"),
    M("a query is sent with each text", "app/service/embedding_service.py", "if size > most:\n            message = f\"Each", "if False:\n            message = f\"Each", RERANK),
    M("a backup is told of", "deployments/text_encoder.py", "replace(model.info, note=note) if note else model.info", "model.info", "tests/unit/deployments/test_text_encoder.py"),
    M("bf16 where the CPU has it", "app/encoders/backends/openvino_runner.py", '"bf16" if "bf16" in able else "f32"', '"f32"', "tests/unit/encoders/test_int8.py"),
    M("answers name a backup", "app/api/wire/embeddings.py", "    if result.info.note:\n", "    if False:\n", "tests/unit/api/test_application.py"),
    M("items name a backup", "app/api/endpoints/batch.py", "    if info.note:\n", "    if False:\n", "tests/unit/api/test_application.py"),
    M("a backup has no path", "app/config/settings.py", 'note=f"the backup {name.public}', 'note=f"the backup {id_}', BUILD),
    M("shapes-clip under the launcher only", "app/config/settings.py", "self.shapes_clip_may_serve and ", "", BUILD),
    M("pull without a hub", "app/__main__.py", "weights = resolve(model, revision, offline=True)", "return _complain(error.message)", PULL),
    M("pull of another revision", "app/__main__.py", "resolve(model, revision, offline=True)", "resolve(model, None, offline=True)", PULL),
    M("dev restarts", "app/local/launcher.py", "if self._stopping or not self.reload:", "if True:", RELOAD),
    M("dev watches settings", "app/local/launcher.py", '("app", "deployments", ".env")', '("app", "deployments")', RELOAD),
    M("dev reads .env anew", "app/local/launcher.py", "self.variables | environment(", "process_environment() | environment(", RELOAD),
    M("dev stays at its port", "app/local/launcher.py", ', "PORT": str(self.settings.port)}', "}", RELOAD),
    M("the reference's settings", "app/config/args.py", '"cache.ttl_ms": "CACHE_TTL"', '"cache.ttl_ms": "CACHE_LIFE"', REFERENCE),
    M("the reference's defaults", "app/config/args.py", "max_size: PositiveInt = Field(10_000", "max_size: PositiveInt = Field(20_000", REFERENCE),
    M("the reference's errors", "clients/python/src/embeddings_client/errors.py", "    status = 413\n", "    status = 400\n", REFERENCE),
    M("the reference's limits", "app/config/args.py", "texts: PositiveInt = Field(2048", "texts: PositiveInt = Field(1024", REFERENCE),
    M("no upgrade begins while one is under way", "k8s/upgrade.py", "    if pending:\n", "    if False:\n", "tests/unit/k8s/test_upgrade.py"),
    M("initial replicas within Serve's bounds", "k8s/upgrade.py", "min(max(left.pop(name), low), high)", "left.pop(name)", "tests/unit/k8s/test_upgrade.py"),
    M("no key crosses KubeRay's plain listener", "k8s/overlays/incremental/edge.yaml", "type: ClusterIP", "type: LoadBalancer", "tests/unit/k8s/test_incremental.py"),
    M("Redis is the head's only", "k8s/components/redis-sentinel/networkpolicies.yaml", "embeddings, ray.io/node-type: head}", "embeddings}", "tests/unit/k8s/test_reach.py"),
    M("GPU workers read the models' volume", "k8s/components/gpu-workers/gpu-workers.yaml", "path: /metadata/labels/gpu-workers", "path: /metadata/labels/gpus", "tests/unit/k8s/test_components.py"),
    M("components keep their namespace", "k8s/overlays/incremental/kustomization.yaml", "transformers:\n  - namespace.yaml\n", "", "tests/unit/k8s/test_components.py"),
    M("kustomizations name their files", "k8s/components/monitoring/kustomization.yaml", "  - scrapeconfig.yaml\n", "  # scrapeconfig.yaml\n", "tests/unit/k8s/test_policy.py"),
    M("TEI's vectors have length one", "app/api/endpoints/tei.py", "VectorFormat(body.normalize, ", "VectorFormat(False, ", "tests/unit/api/test_tei_api.py"),
    M("truncation can be forbidden", "app/api/endpoints/dialect.py", "if truncated and asked.whole:", "if False:", "tests/unit/api/test_openai_dialects.py"),
    M("token ids have no prompts", "app/api/endpoints/dialect.py", "if reading.prompt_name is not None or prompts.choose(result.info, reading) is not None:", "if False:", "tests/unit/api/test_openai_dialects.py"),
    M("what is not cut is an error", "app/api/endpoints/dialect.py", "if most is not None and 0 <= most < count:", "if False:", "tests/unit/api/test_ollama_api.py"),
    M("fields of one meaning agree", "app/api/endpoints/dialect.py", "if value != given[0][1]:", "if False:", "tests/unit/api/test_openai_dialects.py"),
    M("no image for a cross-encoder", "app/service/image_rerank.py", '("rerank", "image")', '("image",)', "tests/unit/api/test_rerank_images.py"),
    M("texts in the images' space", "app/api/endpoints/voyage.py", "one_space=True", "one_space=False", "tests/unit/api/test_other_dialects.py"),
    M("an input makes one vector", "app/api/wire/inputs.py", "or len(parts) != 1 or", "or", "tests/unit/api/test_cohere_api.py"),
]  # fmt: skip
