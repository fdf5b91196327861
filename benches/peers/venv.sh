#!/usr/bin/env bash
# Makes a virtual environment with the peer in it: ./venv.sh [FOLDER], FOLDER is .venv beside this script without it.
#
# The package registry's torch for Linux comes with CUDA (about 6 GB on disk); the CPU is measured with either. Where
# it can be reached, PyTorch's own index has a CPU build of the same version:
#   TORCH_INDEX=https://download.pytorch.org/whl/cpu ./venv.sh
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=${1:-$here/.venv}

python3 -m venv "$folder"
if [ -n "${TORCH_INDEX:-}" ]; then
    "$folder/bin/pip" install --index-url "$TORCH_INDEX" "$(grep '^torch==' "$here/requirements.txt")"
fi
"$folder/bin/pip" install --requirement "$here/requirements.txt"
echo "now: $folder/bin/python $here/compare.py"
