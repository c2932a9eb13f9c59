#!/bin/sh
# Runs an occ command, not beside an upgrade: it waits for one that runs, and an upgrade waits for it.
set -eu
html=${NEXTCLOUD_HTML:-/var/www/html}
data=${NEXTCLOUD_DATA:-$html/data}

exec 8<> "$data/.pso-gen.jobs.lock"
if ! flock --shared --nonblock 8; then
  echo "waiting for an upgrade to end"
  if ! flock --shared --timeout 1200 8; then
    echo "cannot lock $data/.pso-gen.jobs.lock: an upgrade has held it for 20 minutes, see the log of the step install" >&2
    exit 1
  fi
fi
DB_HOST=$MYSQL_HOST DB_NAME=$MYSQL_DATABASE DB_USER=$MYSQL_USER DB_PASSWORD_FILE=$MYSQL_PASSWORD_FILE
export DB_HOST DB_NAME DB_USER DB_PASSWORD_FILE
php "${PSO_DATABASE:-/pso/app-database.php}" wait 900 ${REDIS_HOST:+"$REDIS_HOST:${REDIS_HOST_PORT:-6379}"}
exec php "$html/occ" --no-interaction "$@"
