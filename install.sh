#!/bin/sh
# Installs packages into a virtual environment: sh install.sh PYTHON [--editable] PACKAGE ...
#
# PyTorch's own index has builds without CUDA for Linux on x86-64; PyPI's brings CUDA's libraries. uv asks that
# index and takes the build for this machine's driver, or for CPUs. Where it can't, or pip is told of an index of its
# own, pip installs. Versions are those of constraints.txt either way.
set -u
python=$1
shift
set -- --constraint "$(dirname "$0")/constraints.txt" "$@"
export UV_TORCH_BACKEND="${UV_TORCH_BACKEND:-auto}" UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}"
pip() { "$python" -m pip --disable-pip-version-check "$@"; }
uv() { "$python" -m uv pip install --python "$python" "$@"; }
# Whether uv can have torch. It asks anew, and doesn't wait long.
asked() (
  export UV_HTTP_CONNECT_TIMEOUT=5 UV_HTTP_TIMEOUT=5 UV_HTTP_RETRIES=1
  uv --quiet --dry-run --no-deps --reinstall --constraint "$1" torch >/dev/null 2>&1
)

if pip config list | grep -q index; then
  why="pip is told of an index"
elif ! pip install --quiet --timeout 5 --retries 1 --constraint "$2" uv >/dev/null 2>&1; then
  why="uv is not available"
elif ! asked "$2"; then
  why="PyTorch's index is not available, or has no such build"
elif uv "$@"; then
  exit
else
  why="uv failed"
fi
echo "pip installs, with the torch of its index, for Linux on x86-64 one with CUDA: $why. This takes some minutes."
[ -t 1 ] || set -- --quiet "$@" # on a terminal it shows what it does
pip install "$@"
