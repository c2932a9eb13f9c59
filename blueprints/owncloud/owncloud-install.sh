#!/bin/bash
# Installs or upgrades ownCloud, and fails unless ownCloud says that this has worked. The image knows
# no lock of its own: two pods that install at once break each other's tables. So this runs before the
# web server, one pod at a time. It looks at the volume and the database first: the image installs over
# a database that has tables.
set -euo pipefail
entrypoint=${OWNCLOUD_ENTRYPOINT:-/usr/bin/entrypoint}
owncloud=${OWNCLOUD_COMMAND:-/usr/bin/owncloud}
volume=${OWNCLOUD_VOLUME:-/mnt/data}
code=${OWNCLOUD_CODE:-/var/www/owncloud}
database=${PSO_DATABASE:-/pso/app-database.php}
# A cron job ends after 15 minutes at most.
jobs_deadline=${PSO_JOBS_DEADLINE:-1200}
config=$volume/config/config.php
installing=$volume/.pso-gen.installing
upgrading=$volume/.pso-gen.upgrading

refuse() {
  printf 'install: %s\n' "$@" >&2
  exit 1
}

# At the top level of config.php alone, which is indented by two spaces: settings of the app file may have such names inside.
is_installed() {
  grep -Eqs "^[[:space:]]{0,3}'installed' *=> *true" "$config"
}

# The version of the code, and the one that the configuration notes after each upgrade.
code_version() {
  # shellcheck disable=SC2016 # PHP's variable
  php -r 'require $argv[1]; echo implode(".", $OC_Version);' "$code/version.php"
}
noted_version() {
  sed -nE "s/^[[:space:]]{0,3}'version' *=> *'([0-9.]+)'.*/\1/p" "$config"
}

# An upgrade changes tables under a job that runs. Jobs hold this lock together; an upgrade alone.
wait_for_jobs() {
  local busy=0
  exec 8<> "$volume/.pso-gen.jobs.lock"
  flock --nonblock --conflict-exit-code 75 8 || busy=$?
  if [ "$busy" -eq 75 ]; then
    echo "install: waiting for the jobs cron and occ to end before the upgrade"
    busy=0
    flock --timeout "$jobs_deadline" --conflict-exit-code 75 8 || busy=$?
  fi
  [ "$busy" -ne 75 ] || refuse "a job still runs after $jobs_deadline s, so the upgrade has not begun" \
    "see \`kubectl get jobs\`; delete the job if it hangs"
  [ "$busy" -eq 0 ] || refuse "cannot lock $volume/.pso-gen.jobs.lock (flock: exit code $busy)"
}

# What an ownCloud without users has in its files folder.
users_files() {
  [ ! -d "$volume/files" ] || find "$volume/files" -mindepth 1 -maxdepth 1 ! -name index.html ! -name .htaccess \
    ! -name .ocdata ! -name 'owncloud.log*' ! -name avatars ! -name '.pso-gen*' -printf '%f\n'
}

export DB_HOST=$OWNCLOUD_DB_HOST DB_NAME=$OWNCLOUD_DB_NAME DB_USER=$OWNCLOUD_DB_USERNAME DB_PASSWORD=$OWNCLOUD_DB_PASSWORD
php "$database" wait 900 ${OWNCLOUD_REDIS_HOST:+"$OWNCLOUD_REDIS_HOST:$OWNCLOUD_REDIS_PORT"}

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
    "the volume files belongs to an installed ownCloud, and its database $DB_NAME on $DB_HOST is empty" \
    "$fill"
  [ -e "$volume/files/.ocdata" ] || refuse \
    "the volume files belongs to an installed ownCloud, and its folder files/ has no .ocdata: the users' files are missing" \
    "restore them from a snapshot, or name the claim and the \`path\` that have them"
  [ "$(noted_version)" = "$(code_version)" ] || wait_for_jobs
else
  if [ ! -e "$installing" ] && [ -n "$(users_files)" ]; then
    refuse "the volume files has no installed ownCloud (config/config.php), and files: $(users_files | head -n 5 | tr '\n' ' ')" \
      "restore config/config.php from a snapshot; to begin anew, give files an empty claim"
  fi
  php "$database" may-install "$installing" || refuse \
    "the volume files has no installed ownCloud (config/config.php)" \
    "name the claim of the files that belong to this database in the app file; to begin anew, $anew"
fi

# An upgrade turns the maintenance mode on, and one that is killed leaves it on. So it is turned off at the
# end, unless it was on before: then it is an operator's, for a snapshot perhaps.
grep -Eqs "^[[:space:]]{0,3}'maintenance' *=> *true" "$config" || : > "$upgrading"

PSO_MAY_INSTALL=yes "$entrypoint" "$owncloud" true

# The program itself: through the image's start sequence, every question would upgrade once more.
status=$("$entrypoint" occ status --output=json --no-interaction || true)
case "$status" in
  *'"installed":true'*) ;;
  *) refuse "ownCloud is not installed. It says: $status" ;;
esac
[ "$(noted_version)" = "$(code_version)" ] || refuse \
  "the upgrade from $(noted_version) to $(code_version) has not succeeded; its messages are above"
[ ! -e "$installing" ] || php "$database" installed "$installing"
if [ -e "$upgrading" ]; then
  "$entrypoint" occ maintenance:mode --off --no-interaction
  rm "$upgrading"
fi
