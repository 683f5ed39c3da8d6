#!/bin/sh
# Run the tests with other versions than the pinned ones: tools/test_versions.sh PYTHON lowest-direct|highest [pytest options]
# `lowest-direct` installs the lowest version of everything that pyproject.toml allows. Called by `make test-versions`,
# which has uv on the path.
set -eu
cd "$(dirname "$0")/.."
python=$1 resolution=$2
shift 2
venv=.venv-$resolution-$(basename "$python")
uv venv --quiet --allow-existing --no-config --python "$python" "$venv"
uv pip install --quiet --no-config --python "$venv/bin/python" --resolution "$resolution" \
    --editable ".[cpu,cli,train,track,scale,remote,mqtt,serial,zstd]" --group dev
echo "== $("$venv/bin/python" --version), $resolution =="
"$venv/bin/python" -m pytest "$@"
