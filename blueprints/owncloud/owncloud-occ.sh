#!/bin/bash
# Runs an occ command, not beside an upgrade: it waits for one that runs, and an upgrade waits for it. The image's start
# sequence is left out: it installs and upgrades.
set -euo pipefail
entrypoint=${OWNCLOUD_ENTRYPOINT:-/usr/bin/entrypoint}
volume=${OWNCLOUD_VOLUME:-/mnt/data}
code=${OWNCLOUD_CODE:-/var/www/owncloud}

if ! grep -Eqs "^[[:space:]]{0,3}'installed' *=> *true" "$volume/config/config.php"; then
  echo "ownCloud is not installed yet: its web pod installs it, see the log of the step install" >&2
  exit 1
fi
exec 8<> "$volume/.pso-gen.jobs.lock"
if ! flock --shared --nonblock 8; then
  echo "waiting for an upgrade to end"
  if ! flock --shared --timeout 1200 8; then
    echo "cannot lock $volume/.pso-gen.jobs.lock: an upgrade has held it for 20 minutes, see the log of the step install" >&2
    exit 1
  fi
fi
export DB_HOST=$OWNCLOUD_DB_HOST DB_NAME=$OWNCLOUD_DB_NAME DB_USER=$OWNCLOUD_DB_USERNAME DB_PASSWORD=$OWNCLOUD_DB_PASSWORD
php "${PSO_DATABASE:-/pso/app-database.php}" wait 900 ${OWNCLOUD_REDIS_HOST:+"$OWNCLOUD_REDIS_HOST:$OWNCLOUD_REDIS_PORT"}

rm -rf "$code/config" "$code/custom"
ln -s "$volume/config" "$code/config"
ln -s "$volume/apps" "$code/custom"
exec "$entrypoint" occ --no-interaction "$@"
