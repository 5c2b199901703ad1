#!/usr/bin/env bash
# Everything that this project says of a GPU, measured in one go, in under eight minutes.
#
#     benchmarks/gpu.sh                     on a machine with an NVIDIA GPU, CUDA's libraries, PyTorch
#     benchmarks/gpu.sh --device cpu        the same steps on a processor: a rehearsal
#     benchmarks/gpu.sh pack FILE.tar.xz    what such a machine lacks, to be carried where it has no
#                                           network (24 MiB for Python 3.12 on x86-64)
#
# $OUT (./gpu-results) gets gpu.json, which is written anew after every step, so a run that is cut
# off leaves what it had. A step that fails or takes too long is noted with its last words, and the
# next one begins. $CARRIED names what `pack` made, $CLONES the clones for `visavis bench peers`,
# $PYTHON a Python that has torch. What a step needs and does not find, it says.
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}
out=${OUT:-gpu-results}
total=${TOTAL_SECONDS:-460}
device=cuda
# What an image with torch and cupy usually lacks; whole sessions need all of it.
packages="av==18.1.* webrtcvad-wheels aiortc==1.16.* aioice pylibsrtp pyee google-crc32c pyopenssl
cryptography cffi pycparser dnspython ifaddr starlette uvicorn websockets qrcode httpx httpcore h11
anyio certifi idna click"

usage() { sed -n '2,15s/^# \{0,1\}//p' "$0"; }

pack() {
    local work
    work=$(mktemp -d)
    trap "rm -rf '$work'" EXIT
    local system systems=()
    for system in manylinux_2_28 manylinux_2_27 manylinux_2_17 manylinux_2_5 manylinux2014; do
        systems+=(--platform "${system}_x86_64")
    done
    # shellcheck disable=SC2086  # the list is split on purpose
    "$python" -m pip download -q --no-deps --only-binary=:all: --python-version 3.12 \
        --implementation cp "${systems[@]}" -d "$work/wheels" $packages || exit 1
    local wheel
    for wheel in "$work"/wheels/*.whl; do
        "$python" -m zipfile -e "$wheel" "$work/site" || exit 1
    done
    tar -C "$work" --sort=name --owner=0 --group=0 -cf - site | xz -T0 -6 > "$1" || exit 1
    echo "$1 is $(du -m "$1" | cut -f1) MiB."
}

if [ "${1:-}" = pack ]; then
    [ $# = 2 ] || { usage; exit 2; }
    pack "$2"
    exit
fi
while [ $# -gt 0 ]; do
    case $1 in
        --device) device=${2:?}; shift 2 ;;
        -h | --help) usage; exit ;;
        *) usage; exit 2 ;;
    esac
done
case $device in cuda | cpu) ;; *) usage; exit 2 ;; esac

began=$SECONDS
mkdir -p "$out" || exit 1
out=$(cd "$out" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PYTHONPATH="$root/src${PYTHONPATH:+:$PYTHONPATH}" PYTHONDONTWRITEBYTECODE=1
if [ -n "${CARRIED:-}" ]; then
    tar -C "$work" -xJf "$CARRIED" || exit 1
    # Last: what the machine has itself was built for it.
    export PYTHONPATH="$PYTHONPATH:$work/site"
fi
cd "$root" || exit 1

# gather: gpu.json of all steps so far.
gather() {
    "$python" - "$work/steps" "$out/gpu.json" "$device" $((SECONDS - began)) <<'PYTHON'
import json, pathlib, sys

folder, target, device, seconds = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
steps = {}
for note in sorted(folder.glob("*.note"), key=lambda path: int(path.name.split(".")[0])):
    number, name, code, took, limit = note.read_text().split()
    said = {end: note.with_suffix(end).read_text("utf-8", "replace") for end in (".out", ".err")}
    step = {"exit": int(code), "seconds": int(took), "limit_s": int(limit)}
    step["state"] = {0: "done", 77: "not run", 124: "took too long", 137: "took too long"}.get(
        int(code), "failed"
    )
    try:
        step["result"] = json.loads(said[".out"])
    except ValueError:
        step["said"] = said[".out"].strip().splitlines()[-60:]
    if said[".err"].strip():
        step["errors"] = said[".err"].strip().splitlines()[-20:]
    steps[name] = step
result = {"benchmark": "gpu", "device": device, "seconds": int(seconds), "steps": steps}
pathlib.Path(target).write_text(json.dumps(result, indent=1) + "\n")
PYTHON
}

# step NAME SECONDS COMMAND...: run it; 77 means that something it needs is not here.
number=0
mkdir -p "$work/steps"
step() {
    local name=$1 limit=$2 left=$((total - (SECONDS - began)))
    shift 2
    number=$((number + 1))
    [ "$limit" -le "$left" ] || limit=$left
    local base="$work/steps/$number" start=$SECONDS code
    if [ "$limit" -lt 3 ]; then
        echo "no time was left" > "$base.err"
        : > "$base.out"
        code=77
    else
        timeout -k 5 "$limit" "$@" > "$base.out" 2> "$base.err"
        code=$?
    fi
    echo "$number $name $code $((SECONDS - start)) $limit" > "$base.note"
    gather
    printf '%-22s exit %-4s %4s s\n' "$name" "$code" $((SECONDS - start))
}

visavis() { echo "$python" -m visavis "$@"; }

# shellcheck disable=SC2046,SC2086  # commands are put together from words
{
    step machine 60 "$python" benchmarks/gpu_machine.py "$device"
    step doctor 60 $(visavis doctor --json)
    step frames 90 "$python" -m visavis.benchmarks.device_frames
    step verify 90 $(visavis verify presenter --json)
    step frame-floor 20 "$python" -m visavis.benchmarks.frame_floor presenter
    alone="$python -m visavis.benchmarks.sessions.alone engine --person presenter"
    if [ $device = cuda ]; then
        step engine 60 $(visavis bench engine --device cuda --sessions 1 8 64 200 --seconds 4 --json)
        step real-time 90 $alone --device cuda --counts 1 8 64 128 200 240 --seconds 5
        step real-time-8-persons 60 $alone --device cuda --counts 64 200 --persons 8 --seconds 5
        step floor 60 $(visavis bench floor --device cuda --batch 1 64 --json)
        step batch 60 $(visavis bench batch --device cuda --persons 1 8 64 --frames 64 --json)
    else
        step engine 60 $(visavis bench engine --sessions 1 2 --seconds 1 --json)
        step real-time 60 $alone --counts 1 2 --seconds 1
        step real-time-8-persons 60 $alone --counts 2 --persons 2 --seconds 1
        step floor 60 $(visavis bench floor --batch 1 2 --json)
        step batch 60 $(visavis bench batch --persons 1 2 --frames 2 --repeats 1 --json)
    fi
    if [ -n "${CLONES:-}" ]; then
        batches="1 8 64"
        [ $device = cuda ] || batches=1
        step peers 120 $(visavis bench peers --clones "$CLONES" --device $device \
            --batch $batches --seconds 1 --json)
    else
        step peers 10 sh -c 'echo "CLONES is not set" >&2; exit 77'
    fi
    if "$python" -c 'import aiortc, av, starlette, uvicorn' 2> /dev/null; then
        # One number: whoever opens sessions from one address gets five a second.
        sessions=100 workers=6 seconds=8
        [ $device = cuda ] || sessions=1 workers=0 seconds=3
        step sessions 180 $(visavis bench sessions --json --persons 1 --parts --sessions $sessions \
            --seconds $seconds) --serve-options "--workers $workers"
    else
        step sessions 10 sh -c 'echo "aiortc, av or a web server is missing" >&2; exit 77'
    fi
}
echo "$out/gpu.json, $((SECONDS - began)) s"
