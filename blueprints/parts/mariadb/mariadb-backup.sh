#!/bin/bash
# Dumps DB_NAME to BACKUP_DIR, checks the dump, then gives it its final name; keeps the KEEP newest.
# A dump that is cut short never gets a final name. One that is far smaller than those before gets
# one and fails: it replaces no older dump until an operator has looked.
#
# The job `restore` puts a dump back. By hand, with the app stopped:
# Restore:  gunzip -c FILE | mariadb --default-character-set=utf8mb4 -h HOST -u USER -p NAME
set -euo pipefail

: "${DB_HOST:?}" "${DB_NAME:?}" "${DB_USER:?}" "${KEEP:?}"
dir=${BACKUP_DIR:-/backup}
secret=${DB_PASSWORD_FILE:-/run/secrets/pso/db-password}

# The password goes by a file that only this user can read: every user of the machine sees arguments.
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

name="$dir/$DB_NAME-$(date -u +%Y%m%dT%H%M%SZ).sql.gz"
rm -f "$dir/$DB_NAME-"*.sql.gz.part
mariadb-dump --defaults-extra-file="$options" --host="$DB_HOST" --user="$DB_USER" \
  --single-transaction --quick --routines --triggers --default-character-set=utf8mb4 \
  "$DB_NAME" | gzip > "$name.part"
gzip -t "$name.part"
# mariadb-dump writes this line last, so it is there only when nothing was cut off.
last=$(gunzip -c "$name.part" | tail -n 1)
case "$last" in
  "-- Dump completed"*) ;;
  *)
    echo "the dump is not complete; its last line is: $last" >&2
    exit 1
    ;;
esac
largest=$(find "$dir" -maxdepth 1 -name "$DB_NAME-*.sql.gz" -printf '%s\n' | sort -n | tail -n 1)
size=$(stat -c %s "$name.part")
sync "$name.part"
mv "$name.part" "$name"
echo "wrote $name ($size bytes)"
if [ "$((size * 2))" -lt "${largest:-0}" ]; then
  echo "it is less than half of the largest kept ($largest bytes): nothing is removed." \
    "When that is right, remove the larger dumps." >&2
  exit 1
fi

count=0
for old in $(printf '%s\n' "$dir/$DB_NAME-"*.sql.gz | sort -r); do
  count=$((count + 1))
  if [ "$count" -gt "$KEEP" ]; then
    rm -f "$old"
  fi
done
