#!/bin/bash
# Installs or upgrades ownCloud, and fails unless ownCloud says that this has worked. The image knows
# no lock of its own: two pods that install at once break each other's tables. So this runs before the
# web server, one pod at a time.
set -euo pipefail
entrypoint=${OWNCLOUD_ENTRYPOINT:-/usr/bin/entrypoint}
owncloud=${OWNCLOUD_COMMAND:-/usr/bin/owncloud}

"$entrypoint" "$owncloud" true

status=$("$entrypoint" "$owncloud" occ status --output=json --no-interaction || true)
case "$status" in
  *'"installed":true'*) ;;
  *)
    echo "ownCloud is not installed. It says: $status" >&2
    exit 1
    ;;
esac
