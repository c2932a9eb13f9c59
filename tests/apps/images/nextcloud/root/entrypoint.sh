#!/bin/sh
# Stand-in, written for these tests, for the image's entrypoint, as read in nextcloud/docker at 00be039: the same order
# of session settings, lock, versions, code, configuration, installation. It deletes what it does not know from html.
set -eu
html=/var/www/html
image=/usr/src/nextcloud

version() {
  # shellcheck disable=SC2016 # PHP's variables
  php -r 'require $argv[1]; echo implode(".", $OC_Version);' "$1/version.php"
}
is_newer() {
  [ "$1" != "$2" ] && [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | tail -n 1)" = "$1" ]
}
# The image takes a value or a file, and refuses both.
value() {
  eval "plain=\${$1-} file=\${$1_FILE-}"
  # shellcheck disable=SC2154 # set by eval
  if [ -n "$plain" ] && [ -n "$file" ]; then
    echo "both $1 and $1_FILE are set" >&2
    exit 1
  fi
  if [ -n "$file" ]; then cat "$file"; else echo "$plain"; fi
}

prepare() {
  if [ -n "${REDIS_HOST-}" ]; then
    {
      echo "session.save_handler = redis"
      echo "session.save_path = \"tcp://$REDIS_HOST:${REDIS_HOST_PORT:-6379}?auth=$(value REDIS_HOST_PASSWORD)\""
      echo "redis.session.locking_enabled = 1"
      echo "redis.session.lock_retries = -1"
      echo "redis.session.lock_wait_time = 10000"
    } > /usr/local/etc/php/conf.d/redis-session.ini
  fi
  exec 9> "$html/nextcloud-init-sync.lock"
  flock 9
  old=0.0.0.0
  [ ! -f "$html/version.php" ] || old=$(version "$html")
  new=$(version "$image")
  if is_newer "$old" "$new"; then
    echo "downgrading from $old to $new is not supported" >&2
    exit 1
  fi
  if is_newer "$new" "$old"; then
    if [ "$old" != 0.0.0.0 ] && [ "${new%%.*}" -gt $((${old%%.*} + 1)) ]; then
      echo "upgrading from $old to $new is not supported" >&2
      exit 1
    fi
    initialize
  fi
  exec 9>&-
}

initialize() {
  find "$html" -mindepth 1 -maxdepth 1 ! -name config ! -name data ! -name custom_apps \
    ! -name themes ! -name version.php ! -name nextcloud-init-sync.lock -exec rm -rf {} +
  (cd "$image" && cp -R occ status.php cron.php upload.php "$html")
  # One file of somebody else's in it, and the image's own are not put there.
  if [ -z "$(ls -A "$html/config" 2>/dev/null)" ]; then
    cp -R "$image/config" "$html"
  fi
  # Before the installation: one that is cut short looks finished to the next start.
  cp "$image/version.php" "$html"
  if [ "$old" != 0.0.0.0 ]; then
    php "$html/occ" upgrade
    return
  fi
  tries=0
  until php "$html/occ" maintenance:install -n --database mysql \
    --admin-user "$(value NEXTCLOUD_ADMIN_USER)" --admin-pass "$(value NEXTCLOUD_ADMIN_PASSWORD)" \
    --database-name "$(value MYSQL_DATABASE)" --database-user "$(value MYSQL_USER)" \
    --database-pass "$(value MYSQL_PASSWORD)" --database-host "$MYSQL_HOST"; do
    tries=$((tries + 1))
    # The image tries ten times, ten seconds apart.
    [ "$tries" -lt 2 ] || exit 1
  done
  index=1
  for domain in ${NEXTCLOUD_TRUSTED_DOMAINS-}; do
    php "$html/occ" config:system:set trusted_domains "$index" --value="$domain"
    index=$((index + 1))
  done
}

case "$1:${NEXTCLOUD_UPDATE-0}" in
  apache*:* | *:1) prepare ;;
esac
exec "$@"
