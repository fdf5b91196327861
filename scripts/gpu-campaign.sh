#!/usr/bin/env bash
# Measures the published networks on an NVIDIA device: first a self-test, then a row a network and method, and PyTorch with
# SpikingJelly on the same networks in between. It needs a built program and this checkout: no compiler, no network. It stays
# under ten minutes: every step has a limit of its own. The same command takes an interrupted campaign up again, step by step
# and row by row.
#
#   scripts/gpu-campaign.sh                      target/release/harness, records in results/records/gpu
#   scripts/gpu-campaign.sh --harness PROGRAM --out DIR --device cuda:0 --dtype bf16 --python PYTHON
#   scripts/gpu-campaign.sh --dry-run-cpu        all of it on the processor at tiny sizes, some minutes; what only a device
#                                                can measure is a row without numbers that says why
#
# Rows are of the published number type, bf16, or of f32 where the program has no such kernels on the device, which is told.
# PYTHON is one that has torch and spikingjelly (benches/peers/venv.sh makes one); without it the peer is left out, and says so.
# NVIDIA's libraries are found by LD_LIBRARY_PATH; those of a PyTorch for CUDA 13.0 will do.
#
# **It has never run on a GPU yet**; its dry run has.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
    printf 'gpu-campaign: %s\n' "$*" >&2
    exit 1
}

harness=target/release/harness out= device=cuda:0 dtype=bf16 python=benches/peers/.venv/bin/python dry=
while [ $# -gt 0 ]; do
    case $1 in
    --dry-run-cpu) dry=yes ;;
    --harness | --out | --device | --dtype | --python)
        [ $# -ge 2 ] || fail "$1 takes a value"
        printf -v "${1#--}" %s "$2"
        shift
        ;;
    *) fail "unknown flag $1" ;;
    esac
    shift
done
[ -x "$harness" ] || fail "no program at $harness (--harness)"
harness=$(realpath "$harness")
out=${out:-results/records/gpu${dry:+-dry-run}}
mkdir -p "$out/steps"

# A network takes a minute and its peer as long at most, and the report some seconds.
no_row_after=450

# What is measured: the suite and the largest batch that is tried.
suite=gpu most=512
# The peer begins no further configuration after so many seconds.
peer_seconds=30
# Golden cases of networks and neurons; optimisers have cases of another form.
mapfile -t cases < <(grep -lE '"(method|variants)":' tests/golden/*/case.json)
if [ "$dry" ]; then
    # The peer's first configuration alone: a compiler takes minutes on a processor.
    device=cpu most=2 peer_seconds=0
    # The same sweeps with tiny images and an eighth of the channels, under another name.
    suite=$out/gpu-dry-run.toml
    sed -e 's/^image = .*/image = [3, 32, 32]/; s/^classes = .*/classes = 10/; s/^width = .*/width = 0.125/' \
        -e 's/^warm-up = .*/warm-up = 1/; s/^timed = .*/timed = 1/' harness/suites/gpu.toml >"$suite"
fi
mapfile -t networks < <(sed -n 's/^model = "\(.*\)"/\1/p' harness/suites/gpu.toml)

failed=()
# step NAME SECONDS COMMAND...: runs what has not passed yet; what it says is kept.
step() {
    local name=$1 limit=$2 began=$SECONDS
    shift 2
    if [ -f "$out/steps/$name.passed" ]; then
        printf '%-36s passed before\n' "$name"
        return
    fi
    if timeout "$limit" "$@" >"$out/steps/$name.log" 2>&1; then
        touch "$out/steps/$name.passed"
        printf '%-36s passed in %d s\n' "$name" $((SECONDS - began))
    else
        failed+=("$name")
        printf '%-36s FAILED after %d s: %s\n' "$name" $((SECONDS - began)) "$(tail -n 1 "$out/steps/$name.log")"
    fi
}

# What another program took for the same steps; `harness gates` reads it.
peers=$out/peers.csv
[ -f "$peers" ] ||
    echo 'network,device,batch,dtype,image,configuration,step_seconds_median,step_seconds_min,used_bytes,reserved_bytes,note' >"$peers"

# peer NETWORK: PyTorch with SpikingJelly at the batch of our row, or why not. A network counts as measured when all of its
# lines are there: they are added at once, and a reason is tried again by the next call.
peer() {
    local lines=$out/steps/peer-$1.csv reason=
    if grep -q "^$1,$device,[0-9]" "$peers"; then return; fi
    sed -i "/^$1,$device,,/d" "$peers"
    : >"$lines"
    if ! "$python" -c 'import torch, spikingjelly' 2>/dev/null; then
        reason="no PyTorch with SpikingJelly ($python)"
    else
        # The program's own row says all sizes; what was measured before the limit stays.
        timeout 60 "$python" benches/peers/peer_gpu.py "$1" --device "${device%%:*}" --records "$out" --seconds $peer_seconds \
            >"$lines" 2>"$out/steps/peer-$1.log" || reason=$(tail -n 1 "$out/steps/peer-$1.log")
    fi
    if [ -s "$lines" ]; then
        cat "$lines" >>"$peers"
    else
        reason=${reason:-nothing was measured within its limit}
        printf '%s,%s,,,,,,,,,"%s"\n' "$1" "$device" "${reason//\"/\'}" >>"$peers"
    fi
}

# out_of_memory COMMAND...: a point that can't fit is a row with the bytes that were refused and those of the plan, no crash.
out_of_memory() {
    local row
    "$@" >/dev/null 2>&1 || true
    row=$(grep -h ',out-of-memory,' "$out/out-of-memory/scaling.csv") || {
        echo 'there is no row of that status'
        return 1
    }
    [[ $row == *bytes* && $row == *'a plan of the step holds'* ]] || {
        echo "the row does not tell the bytes: $row"
        return 1
    }
    echo "$row"
}

# has_kernels DEVICE MORE...: whether the program computes the rows' number type there; what it says else is kept.
has_kernels() {
    "$harness" --suite gpu --device "$1" --dtype "$dtype" --dry-run "${@:2}" >/dev/null 2>"$out/steps/dtype.log"
}

# Without a device nothing of it can be measured, and the program says why.
"$harness" --suite gpu --device "$device" --dry-run >/dev/null || exit 2
printf 'device %s, records in %s\n' "$device" "$out"
has_kernels "$device" || {
    printf 'rows of f32: %s\n' "$(tail -n 1 "$out/steps/dtype.log")"
    dtype=f32
}
printf '\nself-test\n'
step kernels 60 "$harness" self-test --device "$device"
step golden-cases 90 "$harness" probe --device "$device" "${cases[@]%/case.json}"
# By the ledger and, on a device, by its pool: on the processor the log says why that is not judged.
step memory-laws 120 "$harness" regress --device "$device"
grep '^the pool:' "$out/steps/memory-laws.log" || true
# On the processor the heap is kept small; on a device the batch is beyond it: 240 GB of halves by plan.
if [ "$dry" ]; then too_much=(--memory-limit 8MiB); else too_much=(--batch-up-to 2048 --fits 1TiB); fi
export -f out_of_memory
export out
step out-of-memory 90 bash -c 'out_of_memory "$@"' - "$harness" --suite "$suite" --device "$device" \
    --model spike-driven-transformer-8-512 --dtype "$dtype" "${too_much[@]}" --timeout 60 --again --out "$out/out-of-memory"

printf '\nrows\n'
for network in "${networks[@]}"; do
    if [ $SECONDS -gt "$no_row_after" ]; then
        printf '%-36s left for another call\n' "$network"
        failed+=("$network: no time")
        continue
    fi
    # A row that fails is a row; those on file are skipped.
    "$harness" --suite "$suite" --model "$network" --device "$device" --dtype "$dtype" \
        --batch-up-to "$most" --timeout 60 --out "$out" \
        >"$out/steps/row-$network.log" 2>&1 || failed+=("row of $network")
    peer "$network"
    printf '%s\n' "$network"
done
if [ "$dry" ]; then
    # The rows that only a device can fill, at their published size and the batch that 141 GB would hold.
    of_a_device=(--rows-without-device --batch-up-to 512 --fits 112GiB)
    has_kernels cuda:0 "${of_a_device[@]}" || dtype=f32
    "$harness" --suite gpu --device cuda:0 --dtype "$dtype" "${of_a_device[@]}" --timeout 60 --out "$out" \
        >"$out/steps/rows-of-a-device.log" 2>&1 || failed+=('rows of a device')
fi

printf '\na sample\n'
"$harness" gates scripts/gpu-gates.toml "$out" || failed+=(gates)
printf '\npeers\n'
cat "$peers"
"$harness" report "$out" >"$out/steps/report.log"
printf '\nreport in %s; %d s in all\n' "$out/report" "$SECONDS"
if [ ${#failed[@]} -gt 0 ]; then
    printf 'did not pass: %s\n' "${failed[*]}" >&2
    exit 1
fi
