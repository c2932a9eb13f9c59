#!/bin/sh
# Looks at volumes before anything is written to them, gives their folders to the app's user, once, and makes sure
# that it can write there.
#
#   volume-owner.sh give  VOLUME ...   as root, on file volumes
#   volume-owner.sh make  VOLUME ...   as the user, folders inside block volumes
#   volume-owner.sh check VOLUME ...   as the user, where the array set the owner
#
# Each VOLUME:
#   --at=TOP           where the top of the claim is mounted
#   --claim=NAME       name of the claim
#   --folder=PATH      folder of the volume inside the claim, `.` for the top
#   --owner=UID:GID    owner of that folder
#   --mode=MODE        mode of that folder
#   --chosen           the app file names the folder
#   --taken-over       the app file names the claim
#   --is=KIND/VOLUME   what the volume is for
#   --holds=NAME       a file that is there once the app has used the volume; any of several is enough
#   --nested=PATH      folder in it at which another volume is mounted
#
# Only the folder itself is changed: walking a full volume at every start takes minutes to hours.
set -eu

# A note of what a volume is for, made while it is empty: an installation that was cut short is the app's own, too.
note=.pso-gen.volume

explain() {
  echo "volume-owner: $1" >&2
  echo "volume-owner: $2 is $(stat -c '%u:%g mode %a' "$2" 2>&1), wanted $user:$group mode $mode" >&2
  case "$what" in
    give)
      echo "volume-owner: either export it with no_root_squash to the nodes, or give it where it is mounted" \
        "to $user:$group and write \`security: {ownership: check}\`" >&2
      ;;
    check)
      echo "volume-owner: give it where it is mounted to $user:$group; without \`security: {ownership: check}\`, an init" \
        "container does, if the export to the nodes has no_root_squash" >&2
      ;;
  esac
  exit 1
}

# Reports foreign content and what to do about it. Kubernetes shows the last lines in `kubectl describe pod`.
refuse() {
  echo "volume-owner: refused, nothing was written: $1" >&2
  shift
  for line; do
    [ -z "$line" ] || printf '%s\n' "$line" | sed 's/^/volume-owner: /' >&2
  done
  exit 1
}

# Runs a command as the app's user. Root that is squashed may see less than that user.
as_user() {
  if [ "$(id -u)" = "$user" ]; then
    "$@"
  elif command -v setpriv > /dev/null 2>&1; then
    setpriv --reuid "$user" --regid "$group" --clear-groups -- "$@"
  else
    return 127
  fi
}

exists() {
  [ -e "$1" ] || as_user test -e "$1"
}

# Lists a folder, without what file systems, arrays and pso-gen put there.
entries() {
  listed=$(ls -A "$1" 2> /dev/null || as_user ls -A "$1" 2> /dev/null || true)
  printf '%s\n' "$listed" | grep -vxF -e '' -e lost+found -e .snapshot -e .snapshots | grep -v '^\.pso-gen' || true
}

# The first names of a list, for people.
some_of() {
  printf '%s\n' "$1" | head -n 8 | tr '\n' ' '
  [ "$(printf '%s\n' "$1" | wc -l)" -le 8 ] || printf '... (%s in all)' "$(printf '%s\n' "$1" | wc -l)"
}

# Succeeds if a folder has one of the files by which the app's own data is recognized.
has_own() {
  for held in $holds; do
    if exists "$1/$held"; then return 0; fi
  done
  return 1
}

# Names a folder one level below in which the app's own data is, for the remedy.
suggestion() {
  if has_own "$top"; then
    echo "write \`path: .\` if this is the data that the app shall use"
  fi
  entries "$top" | while IFS= read -r inner; do
    if [ -d "$top/$inner" ] && has_own "$top/$inner"; then
      echo "write \`path: $inner\` if this is the data that the app shall use"
    fi
  done
}

# Sets `fresh` when the volume's folder is empty. Nothing is written before all volumes have passed.
inspect() {
  [ ! -L "$folder" ] || refuse "\`$path\` in the claim \`$claim\` is a symbolic link, not a folder"
  if [ -n "$is" ] && exists "$folder/$note"; then
    noted=$(cat "$folder/$note" 2> /dev/null || as_user cat "$folder/$note")
    [ "$noted" = "$is" ] || refuse "the claim \`$claim\` is the volume $noted, not $is" \
      "name the claim of this volume in the app file, or another \`path\`"
    return 0
  fi
  if has_own "$folder"; then return 0; fi
  found=$(entries "$folder")
  if [ -n "$found" ]; then
    if [ -n "$holds" ]; then
      refuse "\`$path\` in the claim \`$claim\` has other data than $is: $(some_of "$found")" \
        "expected an empty folder, or one of:$holds" "$(suggestion)" \
        "if the claim is right, its data is in another folder or damaged: see docs/apps.md, existing claims"
    elif [ -n "$taken_over" ] && [ "$what" = give ] && [ "$(stat -c %u:%g "$folder")" != "$user:$group" ]; then
      refuse "\`$path\` in the claim \`$claim\` has data of $(stat -c %u:%g "$folder"): $(some_of "$found")" \
        "to give it to the app, run \`chown $user:$group\` on that folder" \
        "to mount it as it is, write \`security: {ownership: none}\`"
    fi
    return 0
  fi
  if [ "$path" != . ]; then
    # Another volume of an app that began in this claim is no data that is overlooked.
    others=$(entries "$top" | grep -vxF "${path%%/*}" | while IFS= read -r inner; do
      exists "$top/$inner/$note" || printf '%s\n' "$inner"
    done || true)
    if [ -z "$others" ]; then
      :
    elif [ -z "$chosen" ]; then
      refuse "the claim \`$claim\` has data at its top, which a new folder \`$path\` would hide: $(some_of "$others")" \
        "$(suggestion)" "write \`path: $path\` and make that folder if the app shall begin with an empty one"
    elif [ ! -d "$folder" ]; then
      refuse "the claim \`$claim\` has no folder \`$path\`; it has: $(some_of "$others")" \
        "$(suggestion)" "correct \`path\`, or make that folder if the app shall begin with an empty one"
    fi
  fi
  fresh=yes
}

# Tries to write as the user, if the image has a way to become it.
can_write() {
  code=0
  # shellcheck disable=SC2016 # for the inner shell
  as_user sh -c 'umask 077; : > "$1" && rm -f "$1"' sh "$1/.pso-gen-write-test-$$" 2> /dev/null || code=$?
  [ "$code" -eq 0 ] || [ "$code" -eq 127 ]
}

own() {
  mkdir -p "$1" || explain "cannot make $1" "$(dirname "$1")"
  case "$what" in
    give)
      [ "$(stat -c %u:%g "$1")" = "$user:$group" ] || chown "$user:$group" "$1" ||
        explain "cannot change the owner of $1 (root is squashed?)" "$1"
      [ "$((0$(stat -c %a "$1")))" -eq "$((0$mode))" ] || chmod "0$mode" "$1" ||
        explain "cannot change the mode of $1" "$1"
      ;;
    make)
      # The top of a block volume has the group and mode that Kubernetes gave it. Five digits: with four, the bit for
      # the group that a folder has inherited would stay.
      [ "$1" = "$top/." ] || [ "$((0$(stat -c %a "$1")))" -eq "$((0$mode))" ] || chmod "0$mode" "$1" ||
        explain "cannot change the mode of $1" "$1"
      ;;
    check) ;;
    *)
      echo "volume-owner: unknown step $what" >&2
      exit 2
      ;;
  esac
  can_write "$1" || explain "user $user cannot write to $1" "$1"
}

volume() {
  folder=$top/$path fresh=
  if [ "$pass" = inspect ]; then
    inspect
    [ -z "$fresh" ] || all_fresh="$all_fresh $folder "
    return 0
  fi
  case "$all_fresh" in *" $folder "*) fresh=yes ;; esac
  own "$folder"
  if [ -n "$fresh" ] && [ -n "$is" ]; then
    # Complete from the beginning: another pod may read or write it at the same time.
    # shellcheck disable=SC2016 # for the inner shell
    set -- sh -c 'printf "%s\n" "$1" > "$2.$3" && mv "$2.$3" "$2"' sh \
      "$is" "$folder/$note" "$(cut -c 1-8 /proc/sys/kernel/random/uuid)"
    as_user "$@" || "$@" || echo "volume-owner: no note in $folder: an installation that is cut short needs help" >&2
  fi
  for inner in $nested; do
    own "$folder/$inner"
  done
}

what=$1
shift
all_fresh=''
for pass in inspect own; do
  top=
  for argument; do
    value=${argument#*=}
    case "$argument" in
      --at=*)
        [ -z "$top" ] || volume
        top=$value path=. claim='' user='' group='' mode='' chosen='' taken_over='' is='' holds='' nested=''
        ;;
      --claim=*) claim=$value ;;
      --folder=*) path=$value ;;
      --owner=*) user=${value%:*} group=${value#*:} ;;
      --mode=*) mode=$value ;;
      --chosen) chosen=yes ;;
      --taken-over) taken_over=yes ;;
      --is=*) is=$value ;;
      --holds=*) holds="$holds $value" ;;
      --nested=*) nested="$nested $value" ;;
      *)
        echo "volume-owner: unknown argument $argument" >&2
        exit 2
        ;;
    esac
  done
  [ -z "$top" ] || volume
done
