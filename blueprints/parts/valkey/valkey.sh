#!/bin/sh
# Starts Valkey with its settings on standard input, so that the password is neither among the
# arguments nor on a disk. Locks and sessions live here: when memory is full, writes fail, and
# no lock or session is thrown out.
set -eu
dir=${REDIS_DIR:-/data}
check=${REDIS_CHECK_AOF:-valkey-check-aof}
files=$dir/appendonlydir

# The server refuses files that a power cut damaged. It keeps locks and sessions only: whatever can be read is kept,
# and otherwise users log in again.
if [ -e "$files/appendonly.aof.manifest" ] && command -v "$check" > /dev/null && ! "$check" "$files/appendonly.aof.manifest" > /dev/null 2>&1; then
  echo "the append-only file is damaged: repairing it"
  if ! echo y | "$check" --fix "$files/appendonly.aof.manifest" ||
    ! "$check" "$files/appendonly.aof.manifest" > /dev/null; then
    echo "it cannot be repaired: Valkey starts empty, users log in again; the old files are in $files.damaged"
    rm -rf "$files.damaged"
    mv "$files" "$files.damaged"
  fi
fi

# Quoted: a password from a Secret of the developer may contain any character.
password=$(sed 's/[\\"]/\\&/g' "${REDIS_PASSWORD_FILE:-/run/secrets/pso/redis-password}")
exec "${REDIS_SERVER:-valkey-server}" - <<SETTINGS
port ${REDIS_PORT:-6379}
dir $dir
requirepass "$password"
appendonly yes
appendfsync everysec
save ""
maxmemory ${REDIS_MEMORY:-268435456}
maxmemory-policy noeviction
SETTINGS
