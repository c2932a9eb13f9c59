#!/bin/sh
# Runs background jobs, unless an installation or upgrade is under way: the next run comes soon. An upgrade waits for
# the end of a job that runs.
set -eu
html=${NEXTCLOUD_HTML:-/var/www/html}
data=${NEXTCLOUD_DATA:-$html/data}
image=${NEXTCLOUD_IMAGE_SOURCE:-/usr/src/nextcloud}

if ! grep -Eqs "^[[:space:]]{0,3}'installed' *=> *true" "$html/config/config.php"; then
  echo "Nextcloud is not installed yet"
  exit 0
fi
exec 8<> "$data/.pso-gen.jobs.lock"
code=0
flock --shared --nonblock --conflict-exit-code 75 8 || code=$?
if [ "$code" -eq 75 ] || ! cmp -s "$html/version.php" "$image/version.php"; then
  echo "an upgrade is under way or about to begin"
  exit 0
fi
[ "$code" -eq 0 ] || exit "$code"

DB_HOST=$MYSQL_HOST DB_NAME=$MYSQL_DATABASE DB_USER=$MYSQL_USER DB_PASSWORD_FILE=$MYSQL_PASSWORD_FILE
export DB_HOST DB_NAME DB_USER DB_PASSWORD_FILE
php "${PSO_DATABASE:-/pso/app-database.php}" wait 300 ${REDIS_HOST:+"$REDIS_HOST:${REDIS_HOST_PORT:-6379}"}
exec php -f "$html/cron.php"
