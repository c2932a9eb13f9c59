#!/bin/bash
# Runs an occ command. The image's start sequence comes before every command and upgrades where that
# is needed: under the lock, so that it never does so beside a pod that starts.
set -euo pipefail
entrypoint=${OWNCLOUD_ENTRYPOINT:-/usr/bin/entrypoint}
owncloud=${OWNCLOUD_COMMAND:-/usr/bin/owncloud}

flock "${OWNCLOUD_LOCK:-/mnt/data/.pso-gen.lock}" "$entrypoint" "$owncloud" true
exec "$entrypoint" "$owncloud" occ --no-interaction "$@"
