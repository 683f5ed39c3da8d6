#!/bin/sh
# Repeat the protocol on the real data and rebuild models/: 10 fits of `seed`, export, verify.
# Called by `make reproduce DATA=…`; without DATA it takes the file in the folder EDGECONV_DATA, or downloads it.
set -eu
cd "$(dirname "$0")/.."
edgeconv=${BIN:-.venv/bin}/edgeconv
data=${1:-}
if [ -z "$data" ]; then
    if [ -n "${EDGECONV_DATA:-}" ]; then
        data="$EDGECONV_DATA/UCI HAR Dataset.zip"
    else
        data=$("$edgeconv" data fetch)
    fi
fi
"$edgeconv" train --network seed --data "$data" --repeats 10 --out models/har_conv1d --overwrite
"$edgeconv" export models/har_conv1d --data "$data"
"$edgeconv" verify models/har_conv1d --data "$data"
