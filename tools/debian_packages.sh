#!/bin/sh
# Install what the tests need beside Python packages, on Debian and Ubuntu: tools/debian_packages.sh
# mosquitto, the MQTT broker that tests start on loopback. The package starts one as a service; nothing here uses that.
set -eu
PATH="$PATH:/usr/sbin:/sbin"
packages=""
command -v mosquitto >/dev/null && command -v mosquitto_passwd >/dev/null || packages="mosquitto"
test -n "$packages" || exit 0
as_root=""
test "$(id -u)" -eq 0 || as_root="sudo"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# Quiet, unless it fails; the lists are fetched only where the packages are not known yet.
install() {
    # shellcheck disable=SC2086  # packages are words
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $packages >"$log" 2>&1
}
if ! install && ! { $as_root apt-get update >"$log" 2>&1 && install; }; then
    cat "$log" >&2
    echo "debian_packages.sh: could not install $packages" >&2
    exit 1
fi
