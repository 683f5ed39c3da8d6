#!/bin/sh
# Write requirements/cpu.lock, gpu.lock and peers.lock: every package pinned with its hashes, no download address.
# Called by `make lock`, which has uv on the path.
set -eu
cd "$(dirname "$0")/.."
lock() { # NAME WHAT OPTION…
    out="requirements/$1.lock" what=$2
    shift 2
    uv pip compile pyproject.toml "$@" --extra cli --extra train --extra track --extra scale --extra remote \
        --extra mqtt --extra serial --extra zstd --group dev \
        --universal --python-version 3.11 --generate-hashes --upgrade \
        --no-config --no-emit-index-url --no-emit-find-links --no-header --no-annotate \
        --quiet --output-file "$out"
    sed -i.old "1i\\
# Everything that $what need. Written by \`make lock\`; do not edit." "$out"
    rm "$out.old"
}
lock cpu "edgeconv[cpu,cli,train,track,scale,remote,mqtt,serial,zstd] and its developers" --extra cpu
lock gpu "edgeconv[gpu,cli,train,track,scale,remote,mqtt,serial,zstd] and its developers" --extra gpu
# Other engines are measured beside the very versions that everything else is tested with.
lock peers "edgeconv[cpu,cli,train,track,scale,remote,mqtt,serial,zstd], its developers and \`make bench-peers\`" --extra cpu --group peers \
    --constraints requirements/cpu.lock
