#!/bin/bash
# Starts the web server. The image's start sequence comes first, in this container as well: it links the configuration
# and writes the settings of PHP and Apache. It upgrades, too, so it runs under the lock of the installation.
set -euo pipefail
entrypoint=${OWNCLOUD_ENTRYPOINT:-/usr/bin/entrypoint}
owncloud=${OWNCLOUD_COMMAND:-/usr/bin/owncloud}
volume=${OWNCLOUD_VOLUME:-/mnt/data}

export DB_HOST=$OWNCLOUD_DB_HOST DB_NAME=$OWNCLOUD_DB_NAME DB_USER=$OWNCLOUD_DB_USERNAME DB_PASSWORD=$OWNCLOUD_DB_PASSWORD
php "${PSO_DATABASE:-/pso/app-database.php}" wait 900 ${OWNCLOUD_REDIS_HOST:+"$OWNCLOUD_REDIS_HOST:$OWNCLOUD_REDIS_PORT"}

# The password is a part of a URL.
if [ -n "${OWNCLOUD_REDIS_HOST-}" ]; then
  OWNCLOUD_SESSION_SAVE_PATH=$(php -r 'printf("tcp://%s:%s?auth=%s", getenv("OWNCLOUD_REDIS_HOST"),
    getenv("OWNCLOUD_REDIS_PORT"), rawurlencode(getenv("OWNCLOUD_REDIS_PASSWORD")));')
  export OWNCLOUD_SESSION_SAVE_PATH
fi

flock "$volume/.pso-gen.lock" "$entrypoint" "$owncloud" true
exec "$entrypoint" "${OWNCLOUD_SERVER:-/usr/bin/server}"
