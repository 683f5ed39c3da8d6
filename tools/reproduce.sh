#!/bin/sh
# Repeat the protocol on the real data and rebuild models/: 10 fits of `seed`, export, verify.
# Called by `make reproduce DATA=…`; without DATA it looks for the official file in EDGECONV_DATA.
set -eu
cd "$(dirname "$0")/.."
data=${1:-}
if [ -z "$data" ] && [ -n "${EDGECONV_DATA:-}" ]; then data="$EDGECONV_DATA/UCI HAR Dataset.zip"; fi
if [ -z "$data" ]; then
    echo 'make reproduce needs the real data: make reproduce DATA="…/UCI HAR Dataset.zip" (edgeconv data fetch downloads them)' >&2
    exit 2
fi
edgeconv=${BIN:-.venv/bin}/edgeconv
"$edgeconv" train --network seed --data "$data" --repeats 10 --out models/har_conv1d --overwrite
"$edgeconv" export models/har_conv1d --data "$data"
"$edgeconv" verify models/har_conv1d --data "$data"
