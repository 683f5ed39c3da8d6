#!/bin/sh
# Write requirements/cpu.lock and requirements/gpu.lock: every package pinned with its hashes, no download address.
# Called by `make lock`, which has uv on the path.
set -eu
cd "$(dirname "$0")/.."
for kind in cpu gpu; do
    uv pip compile pyproject.toml --extra "$kind" --extra cli --extra train --group dev \
        --universal --python-version 3.11 --generate-hashes --upgrade \
        --no-config --no-emit-index-url --no-emit-find-links --no-header --no-annotate \
        --quiet --output-file "requirements/$kind.lock"
    sed -i.old "1i\\
# Everything that edgeconv[$kind,cli,train] and its developers need. Written by \`make lock\`; do not edit." \
        "requirements/$kind.lock"
    rm "requirements/$kind.lock.old"
done
