#!/bin/bash
# Puts a dump back: RESTORE names one on the backup volume, otherwise it is the newest. What is in the
# database before is dumped first, under a name that no backup removes. Refuses while another client is
# connected, since an app that writes meanwhile would be left with half of each.
set -euo pipefail

: "${DB_HOST:?}" "${DB_NAME:?}" "${DB_USER:?}"
dir=${BACKUP_DIR:-/backup}
secret=${DB_PASSWORD_FILE:-/run/secrets/pso/db-password}

umask 077
options=$(mktemp)
trap 'rm -f "$options"' EXIT
printf '[client]\npassword="%s"\n' "$(sed 's/[\\"]/\\&/g' "$secret")" > "$options"

# The database may be restarting: waits, unless it refuses the password.
until answer=$(mariadb --defaults-extra-file="$options" --host="$DB_HOST" --user="$DB_USER" --execute 'SELECT 1' 2>&1); do
  case "$answer" in
    *"ERROR 1044"* | *"ERROR 1045"*) ;;
    *)
      if [ "$SECONDS" -lt "${DB_WAIT:-600}" ]; then
        [ -n "${reported-}" ] || echo "waiting for the database: $answer"
        reported=yes
        sleep 1
        continue
      fi
      ;;
  esac
  echo "$answer" >&2
  exit 1
done

client() {
  mariadb --defaults-extra-file="$options" --host="$DB_HOST" --user="$DB_USER" \
    --default-character-set=utf8mb4 "$@"
}

expect_complete() {
  gzip -t "$1"
  case "$(gunzip -c "$1" | tail -n 1)" in
    "-- Dump completed"*) ;;
    *)
      echo "$1 is not complete" >&2
      exit 1
      ;;
  esac
}

dump=${RESTORE:-}
if [ -z "$dump" ]; then
  dump=$(find "$dir" -maxdepth 1 -name "$DB_NAME-*.sql.gz" -printf '%f\n' | sort | tail -n 1)
fi
if [[ -z "$dump" || "$dump" == */* || ! -f "$dir/$dump" ]]; then
  echo "there is no dump \"$dump\"; there are:" >&2
  find "$dir" -maxdepth 1 -name '*.sql.gz' -printf '%f\n' | sort >&2
  exit 1
fi
expect_complete "$dir/$dump"

others=$(client --skip-column-names --batch --execute \
  'SELECT COUNT(*) FROM information_schema.processlist WHERE id <> CONNECTION_ID()')
if [ "$others" -ne 0 ]; then
  echo "$others others are connected: stop the app and its jobs first" >&2
  exit 1
fi

before="$dir/before-restore-$(date -u +%Y%m%dT%H%M%SZ).sql.gz"
mariadb-dump --defaults-extra-file="$options" --host="$DB_HOST" --user="$DB_USER" \
  --single-transaction --quick --routines --triggers --default-character-set=utf8mb4 \
  "$DB_NAME" | gzip > "$before.part"
expect_complete "$before.part"
sync "$before.part"
mv "$before.part" "$before"
echo "what is there now is in $before"

# Tables that are younger than the dump would stay otherwise.
client --execute "DROP DATABASE \`$DB_NAME\`;
  CREATE DATABASE \`$DB_NAME\` CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci"
gunzip -c "$dir/$dump" | client "$DB_NAME"
echo "restored $dump"
