#!/bin/sh
# Gives the top folders of volumes to the app's user, once, and makes sure that it can write there.
#
#   volume-owner.sh give  PATH UID GID MODE ...   as root, on a file volume
#   volume-owner.sh make  PATH UID GID MODE ...   as the user, a folder inside a block volume
#   volume-owner.sh check PATH UID GID MODE ...   as the user, where the array did it
#
# Only the folder itself: walking a full volume at every start takes minutes to hours. A path that is
# not there yet is made: another volume will be mounted at it.
set -eu

explain() {
  echo "volume-owner: $1" >&2
  echo "volume-owner: $2 is $(stat -c '%u:%g mode %a' "$2" 2>&1), wanted $3:$4 mode $5" >&2
  if [ "$what" != make ]; then
    echo "volume-owner: either export it with no_root_squash to the nodes, or give it where it is mounted" \
      "to $3:$4 and write \`security: {ownership: check}\`" >&2
  fi
  exit 1
}

# Tries to write as the user, if the image has a way to become it.
can_write() {
  name="$1/.pso-gen-write-test-$$"
  if [ "$(id -u)" = "$2" ]; then
    (umask 077 && : > "$name") 2>/dev/null && rm -f "$name"
  elif command -v setpriv >/dev/null 2>&1; then
    # shellcheck disable=SC2016 # for the inner shell
    setpriv --reuid "$2" --regid "$3" --clear-groups -- \
      sh -c 'umask 077; : > "$1" && rm -f "$1"' sh "$name" 2>/dev/null
  else
    true
  fi
}

what=$1
shift
while [ "$#" -ge 4 ]; do
  path=$1 user=$2 group=$3 mode=$4
  shift 4
  mkdir -p "$path" || explain "cannot make $path" "$(dirname "$path")" "$user" "$group" "$mode"
  case "$what" in
    give)
      [ "$(stat -c %u:%g "$path")" = "$user:$group" ] || chown "$user:$group" "$path" ||
        explain "cannot change the owner of $path (root is squashed?)" "$path" "$user" "$group" "$mode"
      [ "$((0$(stat -c %a "$path")))" -eq "$((0$mode))" ] || chmod "0$mode" "$path" ||
        explain "cannot change the mode of $path" "$path" "$user" "$group" "$mode"
      ;;
    make)
      # Five digits: with four, the bit for the group that the folder has inherited would stay.
      [ "$((0$(stat -c %a "$path")))" -eq "$((0$mode))" ] || chmod "0$mode" "$path" ||
        explain "cannot change the mode of $path" "$path" "$user" "$group" "$mode"
      ;;
    check) ;;
    *)
      echo "volume-owner: unknown step $what" >&2
      exit 2
      ;;
  esac
  can_write "$path" "$user" "$group" ||
    explain "user $user cannot write to $path" "$path" "$user" "$group" "$mode"
done
