#!/bin/bash
# Runs background jobs, unless an installation or upgrade is under way: the next run comes soon.
set -euo pipefail
exec flock --nonblock --conflict-exit-code 0 "${OWNCLOUD_LOCK:-/mnt/data/.pso-gen.lock}" \
  "${OWNCLOUD_ENTRYPOINT:-/usr/bin/entrypoint}" "${OWNCLOUD_COMMAND:-/usr/bin/owncloud}" \
  occ system:cron --no-interaction
