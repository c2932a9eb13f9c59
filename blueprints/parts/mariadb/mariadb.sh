#!/bin/bash
# Starts MariaDB by the image's entrypoint. A first start that was cut short leaves a database without the app's user,
# and the image takes it for finished. So the first start is noted until it has ended, and done again otherwise.
set -euo pipefail
data=${MARIADB_DATA:-/var/lib/mysql}
note=$data/.pso-gen.first-start

ours() {
  find "$data" -mindepth 1 -maxdepth 1 ! -name '.pso-gen*' ! -name lost+found "$@"
}

if [ -e "$note" ]; then
  # The server does not listen during a first start. A table outside of the server's own databases shows that the note
  # is wrong, or that an operator has put another database there: then nothing is removed.
  if [ -n "$(find "$data" -mindepth 2 -maxdepth 2 \( -name '*.ibd' -o -name '*.frm' \) ! -path "$data/mysql/*" \
    ! -path "$data/sys/*" ! -path "$data/performance_schema/*" -print -quit)" ]; then
    rm "$note"
  else
    echo "the first start was cut short: it is done again"
    ours -exec rm -rf {} +
  fi
elif [ -z "$(ours -print -quit)" ]; then
  : > "$note"
fi
exec "${MARIADB_ENTRYPOINT:-docker-entrypoint.sh}" mariadbd "$@"
