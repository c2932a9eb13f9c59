#!/bin/sh
# Installs or upgrades Nextcloud, and fails unless Nextcloud says that this has worked. It runs before
# the web server, under a lock, so that neither a probe nor a second pod comes in between, and no user
# is ever shown the set-up page. It looks at the volumes and the database before the image's entrypoint
# does: that one deletes files, and installs over a database that has tables.
set -eu
html=${NEXTCLOUD_HTML:-/var/www/html}
data=${NEXTCLOUD_DATA:-$html/data}
image=${NEXTCLOUD_IMAGE_SOURCE:-/usr/src/nextcloud}
ours=${PSO_CONFIG:-/pso/zz-pso.config.php}
database=${PSO_DATABASE:-/pso/app-database.php}
# A cron job ends after 15 minutes at most.
jobs_deadline=${PSO_JOBS_DEADLINE:-1200}
installing=$data/.pso-gen.installing

refuse() {
  for line; do
    echo "install: $line" >&2
  done
  exit 1
}

version() {
  # shellcheck disable=SC2016 # PHP's variable
  php -r 'require $argv[1]; echo implode(".", $OC_Version);' "$1/version.php"
}

is_installed() {
  grep -Eqs "^[[:space:]]{0,3}'installed' *=> *true" "$html/config/config.php"
}

# An upgrade changes code and tables under a job that runs. Jobs hold this lock together; an upgrade alone.
wait_for_jobs() {
  exec 8<> "$data/.pso-gen.jobs.lock"
  code=0
  flock --nonblock --conflict-exit-code 75 8 || code=$?
  if [ "$code" -eq 75 ]; then
    echo "install: waiting for the jobs cron and occ to end before the upgrade"
    code=0
    flock --timeout "$jobs_deadline" --conflict-exit-code 75 8 || code=$?
  fi
  [ "$code" -ne 75 ] || refuse "a job still runs after $jobs_deadline s, so the upgrade has not begun" \
    "see \`kubectl get jobs\`; delete the job if it hangs"
  [ "$code" -eq 0 ] || refuse "cannot lock $data/.pso-gen.jobs.lock (flock: exit code $code)"
}

put() {
  cp "$1" "$html/config/$(basename "$1").new"
  mv "$html/config/$(basename "$1").new" "$html/config/$(basename "$1")"
}

# What a Nextcloud without users has in its data folder.
users_files() {
  find "$data" -mindepth 1 -maxdepth 1 ! -name lost+found ! -name .snapshot ! -name .snapshots ! -name index.html ! -name .htaccess \
    ! -name .ocdata ! -name .ncdata ! -name audit.log ! -name 'nextcloud.log*' ! -name '.pso-gen*' \
    ! -name 'appdata_*' ! -name 'updater-*' -printf '%f\n'
}

DB_HOST=$MYSQL_HOST DB_NAME=$MYSQL_DATABASE DB_USER=$MYSQL_USER DB_PASSWORD_FILE=$MYSQL_PASSWORD_FILE
export DB_HOST DB_NAME DB_USER DB_PASSWORD_FILE
php "$database" wait 900 ${REDIS_HOST:+"$REDIS_HOST:${REDIS_HOST_PORT:-6379}"}

# The app has no volume and no job for a server outside.
if [ -n "${DB_OUTSIDE-}" ]; then
  fill="restore a dump of the old database on the server, or name the server that has the old database in the app file"
  anew="give the app an empty database on the server"
else
  fill="name the claim of the old database in the app file, or restore a dump (job restore)"
  anew="give db an empty claim"
fi

if is_installed; then
  [ "$(php "$database" tables)" -ne 0 ] || refuse \
    "the volume html belongs to an installed Nextcloud, and its database $MYSQL_DATABASE on $MYSQL_HOST is empty" \
    "$fill"
  [ -e "$data/.ncdata" ] || [ -e "$data/.ocdata" ] || refuse \
    "the volume html belongs to an installed Nextcloud, and the volume data has neither .ncdata nor .ocdata" \
    "name the claim and the \`path\` of the users' files in the app file"
  # Before the entrypoint: the configuration of another cluster names another database.
  put "$ours"
else
  chart="in the official chart, config.php is in the folder \`config\` beside \`html\`: see docs/nextcloud.md, section Move in"
  if [ ! -e "$installing" ] && [ -n "$(users_files)" ]; then
    refuse "the volume html has no installed Nextcloud (config/config.php), and the volume data has files: $(users_files | head -n 5 | tr '\n' ' ')" \
      "name the claim of the html that belongs to them in the app file; to begin anew, give data an empty claim" "$chart"
  fi
  php "$database" may-install "$installing" || refuse \
    "the volume html has no installed Nextcloud (config/config.php)" \
    "name the claim of the html that belongs to this database in the app file; to begin anew, $anew" "$chart"
fi

# Upgrades turn the maintenance mode on, and one that is killed leaves it on. So it is turned off at the
# end, unless it was on before: then it is an operator's, for a snapshot perhaps.
upgrading=$data/.pso-gen.upgrading
grep -Eqs "^[[:space:]]{0,3}'maintenance' *=> *true" "$html/config/config.php" || : > "$upgrading"

if [ -e "$html/version.php" ]; then
  if ! is_installed; then
    # The image notes its version before it installs, and a noted version is never installed again:
    # an installation that was cut short must be let start anew.
    rm "$html/version.php"
  elif [ "$(version "$html")" != "$(version "$image")" ]; then
    wait_for_jobs
  fi
fi

NEXTCLOUD_UPDATE=1 "${NEXTCLOUD_ENTRYPOINT:-/entrypoint.sh}" true

cd "$html"
status=$(php occ status --output=json --no-warnings || true)
case "$status" in
  *'"installed":true'*) ;;
  *'"installed":false'*) refuse "Nextcloud is not installed yet; it will be tried again. It says: $status" ;;
  *)
    # Without its database it says nothing at all: that is no reason to install it again.
    refuse "Nextcloud does not say whether it is installed; is its database away? It says: $status"
    ;;
esac
[ ! -e "$installing" ] || php "$database" installed "$installing"
case "$status" in
  *'"needsDbUpgrade":true'*)
    wait_for_jobs
    php occ upgrade --no-interaction
    ;;
esac
if [ -e "$upgrading" ]; then
  php occ maintenance:mode --off --no-interaction
  rm "$upgrading"
fi

# After the entrypoint: a file that is in config/ before keeps the image from putting its own there.
for file in "$image"/config/*.config.php; do
  [ -e "$file" ] || continue
  put "$file"
done
put "$ours"

# The image puts the password into a URL as it is. This file is read after the image's. A request holds the lock of
# its session; the lock of a pod that was killed ends after a minute, not after the longest time of a request.
if [ -n "${REDIS_HOST-}" ]; then
  sessions=${PHP_SETTINGS:-/usr/local/etc/php/conf.d}/zz-pso-session.ini
  # shellcheck disable=SC2016 # PHP's variables
  (umask 077 && php -r 'printf("session.save_path = \"tcp://%s:%s?auth=%s\"\nredis.session.lock_expire = 60\n",
    getenv("REDIS_HOST"), getenv("REDIS_HOST_PORT") ?: "6379", rawurlencode(rtrim(file_get_contents(getenv("REDIS_HOST_PASSWORD_FILE")), "\r\n")));' \
    > "$sessions")
fi

php occ background:cron --no-interaction
