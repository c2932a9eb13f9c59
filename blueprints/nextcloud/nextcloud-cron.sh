#!/bin/sh
# Runs background jobs, unless an installation or upgrade is under way: the next run comes soon.
set -eu
html=${NEXTCLOUD_HTML:-/var/www/html}
if ! flock --nonblock "${NEXTCLOUD_DATA:-$html/data}/.pso-gen.lock" true; then
  echo "an installation or upgrade is under way"
  exit 0
fi
exec php -f "$html/cron.php"
