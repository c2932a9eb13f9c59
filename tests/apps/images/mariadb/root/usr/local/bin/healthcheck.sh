#!/bin/bash
# Stand-in, written for these tests, for the image's check: it logs in with a user of its own.
set -euo pipefail

ask() {
  mariadb --defaults-file=/var/lib/mysql/.my-healthcheck.cnf --protocol=tcp --host=127.0.0.1 \
    --skip-column-names --execute="$1"
}
for check; do
  case "$check" in
    --connect) ask 'SELECT 1' > /dev/null ;;
    --innodb_initialized) [ "$(ask "SELECT 1 FROM information_schema.ENGINES WHERE engine = 'innodb'
      AND support IN ('YES', 'DEFAULT')")" = 1 ] ;;
    *) echo "no check is called $check" >&2; exit 1 ;;
  esac
done
