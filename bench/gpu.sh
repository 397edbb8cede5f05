#!/usr/bin/env bash
# What a GPU has to say about this checkout, in eight minutes: the suite on it, its ceilings,
# training steps in turn with PyTorch, peak memory, two training runs; and all of it as JSON.
#
# Needs a Python (PYTHON, or python3) with CuPy, PyTorch with CUDA, pytest and what minigrad needs;
# no network. The data are Fashion-MNIST where MINIGRAD_DATA says, or a stand-in drawn by code,
# which the output says.
# Exit code: 0 if everything was measured and no test failed. `--help` lists the flags.
set -euo pipefail
cd "$(dirname "$0")/.."
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
python=${PYTHON:-python3}

lacks=$("$python" - <<'END'
from importlib.util import find_spec
names = "numpy threadpoolctl tqdm safetensors matplotlib PIL torch pytest"
print(*(name for name in names.split() if not find_spec(name)))
END
)
if [ -n "$lacks" ]; then
  echo "bench/gpu.sh: $python lacks $lacks (PYTHON=<another> chooses another)" >&2
  exit 1
fi
exec "$python" -m bench.gpu "$@"
