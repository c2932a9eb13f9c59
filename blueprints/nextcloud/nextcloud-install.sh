#!/bin/sh
# Installs or upgrades Nextcloud, and fails unless Nextcloud says that this has worked. It runs before
# the web server, under a lock, so that neither a probe nor a second pod comes in between, and nobody
# is ever shown the set-up page.
set -eu
html=${NEXTCLOUD_HTML:-/var/www/html}
data=${NEXTCLOUD_DATA:-$html/data}
image=${NEXTCLOUD_IMAGE_SOURCE:-/usr/src/nextcloud}
ours=${PSO_CONFIG:-/pso/zz-pso.config.php}

# Upgrades turn the maintenance mode on, and one that is killed leaves it on. So it is turned off at the
# end, unless it was on before: then it is an operator's, for a snapshot perhaps.
upgrading=$data/.pso-gen.upgrading
grep -Eqs "'maintenance' *=> *true" "$html/config/config.php" || : > "$upgrading"

NEXTCLOUD_UPDATE=1 "${NEXTCLOUD_ENTRYPOINT:-/entrypoint.sh}" true

cd "$html"
status=$(php occ status --output=json --no-warnings || true)
case "$status" in
  *'"installed":true'*) ;;
  *'"installed":false'*)
    # The image notes its version before it installs, and a noted version is never installed again:
    # an installation that was cut short must be let start anew.
    rm -f version.php
    echo "Nextcloud is not installed yet; it will be tried again. It says: $status" >&2
    exit 1
    ;;
  *)
    # Without its database it says nothing at all: that is no reason to install it again.
    echo "Nextcloud does not say whether it is installed; is its database away? It says: $status" >&2
    exit 1
    ;;
esac
case "$status" in
  *'"needsDbUpgrade":true'*) php occ upgrade --no-interaction ;;
esac
if [ -e "$upgrading" ]; then
  php occ maintenance:mode --off --no-interaction
  rm "$upgrading"
fi

# After the entrypoint: a file that is in config/ before keeps the image from putting its own there.
for file in "$image"/config/*.config.php; do
  [ -e "$file" ] || continue
  cp "$file" "config/$(basename "$file").new"
  mv "config/$(basename "$file").new" "config/$(basename "$file")"
done
cp "$ours" config/zz-pso.config.php.new
mv config/zz-pso.config.php.new config/zz-pso.config.php

php occ background:cron --no-interaction
