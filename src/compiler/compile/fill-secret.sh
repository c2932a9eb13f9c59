#!/bin/sh
# Fills those keys of a Secret that are not there yet with random letters and digits. What is there
# is never changed, so running it again, or twice at a time, does no harm.
#
#   fill-secret.sh SECRET KEY=LENGTH ...
#
# Only letters and digits: some of these passwords end up in URLs.
set -eu
account=${SERVICE_ACCOUNT:-/var/run/secrets/kubernetes.io/serviceaccount}
server=${KUBERNETES_API:-https://kubernetes.default.svc}
url="$server/api/v1/namespaces/$(cat "$account/namespace")/secrets/$1"
secret=$1
shift

# Values and the token go by files that only this user can read, never by arguments.
umask 077
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf 'header = "Authorization: Bearer %s"\n' "$(cat "$account/token")" > "$work/auth"

call() {
  curl --silent --show-error --fail --max-time 30 --retry 5 --retry-connrefused \
    --cacert "$account/ca.crt" --config "$work/auth" "$@" "$url"
}

call --output "$work/secret"
tr -d ' \n' < "$work/secret" > "$work/flat"
version=$(sed -n 's/.*"resourceVersion":"\([^"]*\)".*/\1/p' "$work/flat")

missing=''
for wanted in "$@"; do
  key=${wanted%%=*}
  if ! grep -q "\"$key\":\"" "$work/flat"; then
    length=${wanted#*=}
    value=$(LC_ALL=C tr -dc 'A-Za-z0-9' < /dev/urandom | head -c "$length")
    # What is filled once stays: nothing short, and nothing empty.
    if [ "${#value}" -ne "$length" ]; then
      echo "no random letters for $key" >&2
      exit 1
    fi
    value=$(printf '%s' "$value" | base64 | tr -d '\n')
    [ -n "$value" ]
    missing="$missing${missing:+,}\"$key\":\"$value\""
  fi
done
if [ -z "$missing" ]; then
  echo "$secret is complete"
  exit 0
fi

# With the version that was read: the API server refuses the second of two writers, which tries again.
printf '{"metadata":{"resourceVersion":"%s"},"data":{%s}}' "$version" "$missing" > "$work/patch"
call --output /dev/null --request PATCH --header 'Content-Type: application/merge-patch+json' \
  --data "@$work/patch"
echo "filled $secret"
