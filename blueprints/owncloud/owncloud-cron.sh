#!/bin/bash
# Runs background jobs, unless an installation or upgrade is under way: the next run comes soon. The
# lock is held for the image's start sequence only, or a pod that starts would wait for the whole run.
set -euo pipefail
entrypoint=${OWNCLOUD_ENTRYPOINT:-/usr/bin/entrypoint}
owncloud=${OWNCLOUD_COMMAND:-/usr/bin/owncloud}
lock=${OWNCLOUD_LOCK:-/mnt/data/.pso-gen.lock}
busy=75

code=0
flock --nonblock --conflict-exit-code "$busy" "$lock" "$entrypoint" "$owncloud" true || code=$?
if [ "$code" -eq "$busy" ]; then
  echo "an installation or upgrade is under way"
  exit 0
fi
[ "$code" -eq 0 ] || exit "$code"
exec "$entrypoint" "$owncloud" occ system:cron --no-interaction
