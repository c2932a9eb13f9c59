#!/bin/sh
# Succeeds when Valkey answers a client with the password.
set -eu
REDISCLI_AUTH=$(cat "${REDIS_PASSWORD_FILE:-/run/secrets/pso/redis-password}")
export REDISCLI_AUTH
[ "$("${REDIS_CLI:-valkey-cli}" -p "${REDIS_PORT:-6379}" ping)" = PONG ]
