#!/bin/bash
# Runs background jobs, unless an installation or upgrade is under way: the next run comes soon. The
# lock is held for the image's start sequence only, or a pod that starts would wait for the whole run.
# That sequence installs, too, and without the administrator's password here as admin/admin: so nothing
# is run before ownCloud is installed.
set -euo pipefail
entrypoint=${OWNCLOUD_ENTRYPOINT:-/usr/bin/entrypoint}
owncloud=${OWNCLOUD_COMMAND:-/usr/bin/owncloud}
lock=${OWNCLOUD_LOCK:-/mnt/data/.pso-gen.lock}
config=${OWNCLOUD_CONFIG:-/mnt/data/config/config.php}
busy=75

if ! grep -Eqs "'installed' *=> *true" "$config"; then
  echo "ownCloud is not installed yet"
  exit 0
fi

code=0
flock --nonblock --conflict-exit-code "$busy" "$lock" "$entrypoint" "$owncloud" true || code=$?
if [ "$code" -eq "$busy" ]; then
  echo "an installation or upgrade is under way"
  exit 0
fi
[ "$code" -eq 0 ] || exit "$code"
exec "$entrypoint" "$owncloud" occ system:cron --no-interaction
