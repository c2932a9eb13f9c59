#!/bin/bash
# Runs background jobs and removes the rest of uploads that broke off, unless an installation or upgrade is under way:
# the next run comes soon. An upgrade waits for the end of a job that runs. The image's start sequence is left out:
# it installs and upgrades.
set -euo pipefail
entrypoint=${OWNCLOUD_ENTRYPOINT:-/usr/bin/entrypoint}
volume=${OWNCLOUD_VOLUME:-/mnt/data}
code=${OWNCLOUD_CODE:-/var/www/owncloud}
config=$volume/config/config.php

if ! grep -Eqs "^[[:space:]]{0,3}'installed' *=> *true" "$config"; then
  echo "ownCloud is not installed yet"
  exit 0
fi
exec 8<> "$volume/.pso-gen.jobs.lock"
busy=0
flock --shared --nonblock --conflict-exit-code 75 8 || busy=$?
# shellcheck disable=SC2016 # PHP's variable
version=$(php -r 'require $argv[1]; echo implode(".", $OC_Version);' "$code/version.php")
if [ "$busy" -eq 75 ] || ! grep -Eq "^[[:space:]]{0,3}'version' *=> *'$version'" "$config"; then
  echo "an upgrade is under way or about to begin"
  exit 0
fi
[ "$busy" -eq 0 ] || exit "$busy"

export DB_HOST=$OWNCLOUD_DB_HOST DB_NAME=$OWNCLOUD_DB_NAME DB_USER=$OWNCLOUD_DB_USERNAME DB_PASSWORD=$OWNCLOUD_DB_PASSWORD
php "${PSO_DATABASE:-/pso/app-database.php}" wait 300 ${OWNCLOUD_REDIS_HOST:+"$OWNCLOUD_REDIS_HOST:$OWNCLOUD_REDIS_PORT"}

rm -rf "$code/config" "$code/custom"
ln -s "$volume/config" "$code/config"
ln -s "$volume/apps" "$code/custom"
"$entrypoint" occ system:cron --no-interaction
"$entrypoint" occ dav:cleanup-chunks --no-interaction
