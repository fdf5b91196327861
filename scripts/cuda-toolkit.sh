#!/usr/bin/env bash
# Puts what a CUDA 13.0 build needs into a folder, from the Python package index, and prints the environment for it.
# The machine needs no toolkit, no driver and no GPU; it needs python3 with pip, and a C compiler.
#
#   scripts/cuda-toolkit.sh                       everything a build needs, into target/cuda
#   scripts/cuda-toolkit.sh --only nvrtc DIR      only the run-time compiler, for the test that compiles our kernels
#
#   eval "$(scripts/cuda-toolkit.sh)" && cargo build -p harness --features cuda
#
# The folder is kept: a second call installs nothing. What pip says goes to stderr, the environment to stdout.
#
# Version 13.0 on purpose: the driver of the machine that measures (580) reads the PTX of 13.0 and not that of later ones.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
    printf 'cuda-toolkit: %s\n' "$*" >&2
    exit 1
}

only=
if [ "${1:-}" = --only ]; then
    only=${2:-}
    [ "$only" = nvrtc ] || fail "--only takes nvrtc, got '$only'"
    shift 2
fi
[ $# -le 1 ] || fail "one folder at most, got: $*"
folder=${1:-${CARGO_TARGET_DIR:-target}/cuda}

# The run-time compiler: it alone judges our kernels.
wheels=(nvidia-cuda-nvrtc==13.0.88)
if [ -z "$only" ]; then
    wheels+=(
        nvidia-cuda-nvcc==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-nvvm==13.0.88 # the compiler of candle's own kernels
        nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85                  # the headers it reads
        nvidia-cublas==13.0.2.14                                                # matrix products
        nvidia-curand==10.4.0.35                                                # candle links it
        nvidia-cudnn-cu13==9.13.0.50                                            # convolutions
    )
fi

[ "$(uname -sm)" = "Linux x86_64" ] || fail "the wheels are for Linux on x86_64, this is $(uname -sm)"
command -v python3 >/dev/null || fail "python3 is missing"
mkdir -p "$folder" || fail "can't make the folder $folder"
folder=$(cd "$folder" && pwd)
toolkit=$folder/nvidia/cu13

# What was asked for is written down when it is whole: half an installation is made again.
stamp=$folder/installed${only:+-$only}
if [ "$(cat "$stamp" 2>/dev/null || true)" != "${wheels[*]}" ]; then
    python3 -m pip --version >/dev/null 2>&1 || fail "python3 has no pip"
    rm -f "$stamp"
    python3 -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --upgrade \
        --target "$folder" "${wheels[@]}" >&2 || fail "pip could not install: ${wheels[*]}"
    [ -d "$toolkit/lib" ] || fail "the wheels have no folder nvidia/cu13/lib"
    # A second build of the run-time compiler, which nothing here asks for: half of its wheel.
    rm -f "$toolkit"/lib/libnvrtc*.alt.so*
    printf '%s' "${wheels[*]}" >"$stamp"
fi

if [ -n "$only" ]; then
    compiler=$toolkit/lib/libnvrtc.so.13
    [ -f "$compiler" ] || fail "no $compiler in the wheel"
    printf 'export NVRTC_LIBRARY=%q\n' "$compiler"
    exit 0
fi

# A program of this build starts where no driver and no library of NVIDIA is, and says what is missing when it is asked for
# such a device: what the linker gets are doors to the libraries, which open them when they are first called.
doors=$toolkit/lib/doors
door() {
    local from=$1 soname=$2 code=$3 to
    to=$doors/${soname%%.so*}.a
    [ ! -f "$to" ] || return 0
    [ -f "$from" ] || fail "no $from in the wheels"
    nm -D --defined-only "$from" | awk '$2 == "T" { sub(/@.*/, "", $3); print $3 }' |
        scripts/cuda-doors.sh "$to" "$soname" "$code" || fail "no door to $soname"
}
command -v cc >/dev/null || fail "a C compiler (cc) is missing"
mkdir -p "$doors"
# A linker prefers a shared library.
find "$toolkit/lib" -name 'lib*.so' -delete
# The last word of each is the library's own code for one that is not there or not ready.
door "$toolkit/lib/libcublas.so.13" libcublas.so.13 1
door "$toolkit/lib/libcublasLt.so.13" libcublasLt.so.13 1
door "$toolkit/lib/libcudart.so.13" libcudart.so.13 35
door "$toolkit/lib/libcurand.so.10" libcurand.so.10 101
door "$toolkit/lib/libnvrtc.so.13" libnvrtc.so.13 11
door "$folder/nvidia/cudnn/lib/libcudnn.so.9" libcudnn.so.9 1001
# The driver's library comes with a driver, which a machine without a GPU has not; its names are those that cudarc declares.
if [ ! -f "$doors/libcuda.a" ]; then
    command -v cargo >/dev/null || fail "cargo is missing: the driver's names are those that cudarc declares"
    cargo fetch --quiet --locked >&2 || fail "cargo fetch failed"
    bindings=$(find "${CARGO_HOME:-$HOME/.cargo}/registry/src" -path '*/cudarc-0.19*/src/driver/sys' -print -quit)
    [ -n "$bindings" ] || fail "cudarc 0.19 is not among the fetched crates"
    grep -rhoE 'fn cu[A-Z][A-Za-z0-9_]*' "$bindings" | sed 's/fn //' |
        scripts/cuda-doors.sh "$doors/libcuda.a" libcuda.so.1 34 || fail "no door to libcuda.so.1"
fi

# The newest architecture that the measuring machine has; PTX of it runs on later ones too.
cat <<END
export CUDA_HOME=$(printf %q "$toolkit")
export CUDA_PATH=$(printf %q "$toolkit")
export PATH=$(printf %q "$toolkit/bin:$toolkit/nvvm/bin"):"\$PATH"
export CUDA_COMPUTE_CAP=90
export CUDARC_CUDA_VERSION=13000
export LIBRARY_PATH=$(printf %q "$doors")\${LIBRARY_PATH:+:\$LIBRARY_PATH}
export NVRTC_LIBRARY=$(printf %q "$toolkit/lib/libnvrtc.so.13")
# Where the program shall compute, these must be found, if no toolkit of the system has them:
#   LD_LIBRARY_PATH=$toolkit/lib:$folder/nvidia/cudnn/lib
END
