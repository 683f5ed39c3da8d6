#!/bin/sh
# Repeat the protocol on the real data and rebuild models/: fits, export, verify.
# Called by `make reproduce DATA=… HAPT=…`; without DATA it takes the files in the folder EDGECONV_DATA, or downloads
# UCI HAR. Without HAPT models/har_raw stays as it is. Finished fits are kept in runs/, so a stopped run goes on.
set -eu
cd "$(dirname "$0")/.."
edgeconv=${BIN:-.venv/bin}/edgeconv
data=${1:-}
hapt=${2:-}
if [ -z "$data" ]; then
    if [ -n "${EDGECONV_DATA:-}" ]; then
        data="$EDGECONV_DATA/UCI HAR Dataset.zip"
        hapt=${hapt:-"$EDGECONV_DATA/HAPT Data Set.zip"}
    else
        data=$("$edgeconv" data fetch)
    fi
fi
rebuild() { # NETWORK DATA REPEATS NAME
    "$edgeconv" train --network "$1" --data "$2" --repeats "$3" --out "models/$4" --overwrite
    "$edgeconv" export "models/$4" --data "$2"
    "$edgeconv" verify "models/$4" --data "$2"
}
rebuild seed "$data" 10 har_conv1d
rebuild edge "$data" 10 har_edge
[ -z "$hapt" ] || rebuild edge "$hapt" 5 har_raw
