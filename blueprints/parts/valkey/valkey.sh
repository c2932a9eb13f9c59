#!/bin/sh
# Starts Valkey with its settings on standard input, so that the password is neither among the
# arguments nor on a disk. Locks and sessions live here: when memory is full, writes fail, and
# nothing that somebody relies on is thrown out.
set -eu
# Quoted, since a password that somebody else has made may hold anything.
password=$(sed 's/[\\"]/\\&/g' "${REDIS_PASSWORD_FILE:-/run/secrets/pso/redis-password}")
exec "${REDIS_SERVER:-valkey-server}" - <<SETTINGS
port ${REDIS_PORT:-6379}
dir ${REDIS_DIR:-/data}
requirepass "$password"
appendonly yes
appendfsync everysec
save ""
maxmemory ${REDIS_MEMORY:-268435456}
maxmemory-policy noeviction
SETTINGS
