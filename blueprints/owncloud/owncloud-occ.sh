#!/bin/bash
# Runs an occ command. The image's start sequence comes before every command and upgrades where that
# is needed: under the lock, so that it never does so beside a pod that starts. It installs, too, and
# without the administrator's password here as admin/admin: so nothing is run before ownCloud is installed.
set -euo pipefail
entrypoint=${OWNCLOUD_ENTRYPOINT:-/usr/bin/entrypoint}
owncloud=${OWNCLOUD_COMMAND:-/usr/bin/owncloud}
lock=${OWNCLOUD_LOCK:-/mnt/data/.pso-gen.lock}
config=${OWNCLOUD_CONFIG:-/mnt/data/config/config.php}

if ! grep -Eqs "'installed' *=> *true" "$config"; then
  echo "ownCloud is not installed yet: its web pod installs it, see the log of the step install" >&2
  exit 1
fi
flock "$lock" "$entrypoint" "$owncloud" true
exec "$entrypoint" "$owncloud" occ --no-interaction "$@"
