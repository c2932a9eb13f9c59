#!/bin/bash
# Stand-in, written for these tests, for the image's entrypoint, as read in MariaDB/mariadb-docker at 012f09c: a folder
# `mysql` means that the database is there; otherwise it makes what the MARIADB_* variables say, by a server without a
# network, then runs /docker-entrypoint-initdb.d, and becomes the server.
set -euo pipefail

case "${1-}" in
  -*) set -- mariadbd "$@" ;;
esac
# The image takes a value or a file, and refuses both.
value() {
  local file="${1}_FILE"
  if [ -n "${!1-}" ] && [ -n "${!file-}" ]; then
    echo "both $1 and $file are set" >&2
    exit 1
  fi
  # As a string in SQL, as the image does.
  if [ -n "${!file-}" ]; then cat "${!file}"; else echo "${!1-}"; fi | sed "s/[\\\\']/\\\\&/g"
}
# Where a test may hold a pod, or kill it: until the file is gone.
stage() {
  touch "/stand-in/database/at-$1"
  while [ -e "/stand-in/database/hold-$1" ]; do sleep 0.02; done
}

data=/var/lib/mysql
if [ ! -d "$data/mysql" ]; then
  root=$(value MARIADB_ROOT_PASSWORD)
  password=$(value MARIADB_PASSWORD)
  : "${root:?MARIADB_ROOT_PASSWORD is missing}" "${password:?MARIADB_PASSWORD is missing}"
  mariadb-install-db --datadir="$data" --skip-test-db --auth-root-authentication-method=normal \
    --ignore-db-dirs=lost+found > /dev/null
  stage first-start
  health=$(tr -dc 'A-Za-z0-9' < /dev/urandom | head -c 32 || true)
  "$@" --datadir="$data" --bootstrap <<SQL
FLUSH PRIVILEGES;
ALTER USER root@localhost IDENTIFIED BY '$root';
CREATE USER healthcheck@127.0.0.1 IDENTIFIED BY '$health';
CREATE DATABASE \`$MARIADB_DATABASE\`;
CREATE USER '$MARIADB_USER'@'%' IDENTIFIED BY '$password';
GRANT ALL ON \`$MARIADB_DATABASE\`.* TO '$MARIADB_USER'@'%';
$([ "${MARIADB_ROOT_HOST-%}" = localhost ] || echo "CREATE USER root@'%' IDENTIFIED BY '$root';")
SQL
  (umask 077 && printf '[mariadb-client]\nuser=healthcheck\npassword=%s\n' "$health" \
    > "$data/.my-healthcheck.cnf")
  for file in /docker-entrypoint-initdb.d/*.sh; do
    [ ! -x "$file" ] || "$file"
  done
fi
exec "$@" --datadir="$data" --socket=/run/mysqld/mysqld.sock --pid-file=/run/mysqld/mysqld.pid
