"""Defects made on purpose in the rendered text, each with the test that must see it.

A test that passes with and without a defect proves nothing. So each of these is put into what
`pso-gen render` prints, and the named test must then fail, and say `reason` when it does.
"""

from dataclasses import dataclass


@dataclass
class Mutation:
    """A text that is replaced wherever it stands, and the reason for which the test then fails."""

    test: str
    old: str
    new: str
    reason: str


DATABASE = {
    "a setting of the database is left out": Mutation(
        "mariadb: takes the rendered settings",
        "--transaction-isolation=READ-COMMITTED",
        "--transaction-isolation=REPEATABLE-READ",
        "'tx_isolation': 'REPEATABLE-READ'",
    ),
    "root may come over the network": Mutation(
        "mariadb: lets root in from its own pod only",
        "- name: MARIADB_ROOT_HOST\n          value: localhost",
        "- name: MARIADB_ROOT_HOST\n          value: '%'",
        "root over the network was told 'in",
    ),
    "the backup skips a table": Mutation(
        "backup: what was dumped comes back",
        '"$DB_NAME" | gzip',
        '--ignore-table="$DB_NAME.blobs" "$DB_NAME" | gzip',
        "the content after the restore is 'app.people",
    ),
    "the backup skips functions": Mutation(
        "backup: what was dumped comes back",
        "--routines ",
        "",
        "FUNCTION app.twice does not exist",
    ),
    "the backup shows its password": Mutation(
        "backup: what was dumped comes back",
        '--user="$DB_USER"',
        '--user="$DB_USER" --password="$(cat "$secret")"',
        "the password is among the arguments",
    ),
    "nobody looks at the end of a dump": Mutation(
        "backup: a dump that ends early leaves no dump",
        '"-- Dump completed"*) ;;',
        '"-- Dump completed"* | *) ;;',
        "the dump ended early, and the backup succeeds",
    ),
    "a dump gets its final name too early": Mutation(
        "backup: a dump that dies leaves no dump",
        '| gzip > "$name.part"',
        '| gzip > "$name"; cp "$name" "$name.part"',
        "the dump was killed: the list of dumps is",
    ),
    "a shrunken dump is taken for good": Mutation(
        "backup: a shrunken dump pushes none out",
        'if [ "$((size * 2))" -lt "${largest:-0}" ]; then',
        "if false; then",
        "is taken for good",
    ),
    "a restore leaves what is younger": Mutation(
        "backup: the job puts the newest dump back",
        'DROP DATABASE',
        'SELECT 1; CREATE DATABASE IF NOT EXISTS other; -- ',
        "the exit code of the restore",
    ),
    "a restore does not look who is there": Mutation(
        "backup: the job waits for nobody to be connected",
        'if [ "$others" -ne 0 ]; then',
        "if false; then",
        "it restores under a running app",
    ),
    "a restore takes any file": Mutation(
        "backup: the job refuses a dump that is cut short",
        'expect_complete "$dir/$dump"',
        "true",
        "Table 'app.people' doesn't exist",
    ),
    "the newest dumps make room": Mutation(
        "backup: only the oldest make room",
        "sort -r",
        "sort",
        "the number of new dumps is 0",
    ),
}

VALKEY = {
    "Valkey asks for no password": Mutation(
        "valkey: answers only who knows the password",
        'requirepass "$password"',
        "protected-mode no",
        "called without any password configured",
    ),
    "Valkey keeps nothing": Mutation(
        "valkey: keeps what it was given when its node is lost",
        "appendonly yes",
        "appendonly no",
        "what is there after a kill -9 is ''",
    ),
    "Valkey forgets when it is full": Mutation(
        "valkey: refuses writes rather than forgets",
        "maxmemory-policy noeviction",
        "maxmemory-policy allkeys-lru",
        "what was there before the memory was full is ''",
    ),
    "Valkey listens in its own pod only": Mutation(
        "valkey: answers only who knows the password",
        "appendonly yes",
        "bind 127.0.0.1\n    appendonly yes",
        "Could not connect",
    ),
}

VOLUMES = {
    "a volume gets a wrong owner": Mutation(
        "volume_owner: gives each fresh volume its owner and mode",
        '- /volumes/data\n        - "33"',
        '- /volumes/data\n        - "999"',
        "data is '999:33 0770'",
    ),
    "all files of a volume are given away": Mutation(
        "volume_owner: gives each fresh volume its owner and mode",
        'chown "$user:$group"',
        'chown -R "$user:$group"',
        "a file in data is '33:33 0644'",
    ),
    "nobody tries to write to a volume": Mutation(
        "volume_owner: checks what the array gave away",
        'can_write "$path" "$user" "$group" ||',
        "true ||",
        "the exit code of a step that said '' and is 0, wanted 1",
    ),
}

SECRETS = {
    "values that are there are overwritten": Mutation(
        "secrets: leaves alone what is there",
        'if ! grep -q "\\"$key\\":\\"" "$work/flat"; then',
        "if true; then",
        "what was there is",
    ),
    "of two at once, the last one wins": Mutation(
        "secrets: of two at once one wins",
        """'{"metadata":{"resourceVersion":"%s"},"data":{%s}}' "$version" """,
        """'{"data":{%s}}' """,
        "who fails, of [0, 0]",
    ),
    "the token is an argument": Mutation(
        "secrets: fills every key",
        '--config "$work/auth"',
        '--header "Authorization: Bearer $(cat "$account/token")"',
        "a secret is among the arguments",
    ),
    "the new values are said": Mutation(
        "secrets: fills every key",
        'echo "filled $secret"',
        'echo "filled $secret $missing"',
        "a secret was said",
    ),
}

INSTALLATION = {
    "ownCloud's pods know no lock": Mutation(
        "owncloud: two pods at once install once",
        "- flock\n        - /mnt/data/.pso-gen.lock\n",
        "",
        "table oc_users already exists",
    ),
    "ownCloud's background jobs know no lock": Mutation(
        "owncloud: background jobs keep away from an upgrade",
        'flock --nonblock --conflict-exit-code "$busy" "$lock"',
        "env",
        "Updates between these versions are under way",
    ),
    "ownCloud's background jobs install it": Mutation(
        "owncloud: jobs do not install it",
        """if ! grep -Eqs "'installed' *=> *true" "$config"; then""",
        "if false; then",
        "the administrator is admin/admin",
    ),
    "ownCloud is served uninstalled": Mutation(
        "owncloud: is not served unless installed",
        """*'"installed":true'*) ;;""",
        """*'"installed":'*) ;;""",
        "a pod may serve, and nothing is installed",
    ),
    "Nextcloud's pods know no lock": Mutation(
        "nextcloud: two pods at once finish a killed upgrade once",
        "- flock\n        - /var/www/html/data/.pso-gen.lock\n",
        "",
        "another pod is at the stage 'upgrade' too",
    ),
    "an installation that was killed looks finished": Mutation(
        "nextcloud: an installation that was killed is done again",
        "rm -f version.php",
        "true",
        "it is never installed again",
    ),
    "a restart ends an operator's maintenance mode": Mutation(
        "nextcloud: an operators maintenance mode stays",
        """grep -Eqs "'maintenance' *=> *true" "$html/config/config.php" ||""",
        "",
        "the maintenance mode after a restart is False",
    ),
    "Nextcloud is installed again when it says nothing": Mutation(
        "nextcloud: is not installed again while its database is away",
        """*'"installed":false'*)""",
        """*'"installed":false'* | *)""",
        "version.php is gone",
    ),
}

WEB = {
    "Apache listens on another port": Mutation(
        "apache: serves without rights on a read only root",
        "Listen 8080",
        "Listen 8081",
        "no port 8080",
    ),
    "Apache needs rights to listen": Mutation(
        "apache: serves without rights on a read only root",
        "Listen 8080",
        "Listen 80",
        "Permission denied",
    ),
    "Apache shows what is stored": Mutation(
        "apache: shows nobody what is stored",
        "Require all denied",
        "Require all granted",
        "the answer to /data/.pso-gen.lock is 200",
    ),
    "Apache keeps a limit of its own": Mutation(
        "apache: takes uploads up to the limit",
        '- name: APACHE_BODY_LIMIT\n          value: "17179869184"',
        '- name: APACHE_BODY_LIMIT\n          value: "1073741824"',
        "the answer to the largest upload is 413",
    ),
    "Apache believes the header of every private address": Mutation(
        "proxies: without proxies no header is believed",
        "mountPath: /etc/apache2/conf-available/remoteip.conf",
        "mountPath: /etc/apache2/conf-available/other.conf",
        "the address is '198.51.100.66'",
    ),
    "every sender is a proxy": Mutation(
        "proxies: owncloud behind nginx",
        "RemoteIPInternalProxy 10.42.0.0/16",
        "RemoteIPInternalProxy 0.0.0.0/1 128.0.0.0/1",
        "the address, forged as 198.51.100.66, is '198.51.100.66'",
    ),
    "nobody is a proxy": Mutation(
        "proxies: nextcloud behind haproxy",
        "RemoteIPHeader X-Forwarded-For",
        "RemoteIPHeader X-Other",
        "the client's address is '10.42.0.5'",
    ),
    "redirects lead to the server": Mutation(
        "proxies: owncloud behind haproxy",
        "ServerName https://cloud.example.com:443",
        "ServerName cloud.example.com",
        "where /.well-known/caldav leads is 'http://cloud.example.com",
    ),
    "a setting that was taken away stays": Mutation(
        "settings: nextcloud forgets what was taken away",
        "$gone = array_diff($before, $keys);",
        "$gone = [];",
        "config.php without what was taken away is",
    ),
    "a setting opens Nextcloud to every name": Mutation(
        "apache: answers the probe and no foreign name",
        "'overwriteprotocol' =>",
        "'overwritehost' => 'cloud.example.com', 'overwriteprotocol' =>",
        "the answer to evil.example.com is 200",
    ),
}

TEXTS = {
    "a scratch pod ignores its end": Mutation(
        "scratch: ends at once when asked",
        "trap 'exit 0' TERM INT",
        "trap '' TERM INT",
        "has not ended after 10 s",
    ),
    "what is made in a scratch pod is its maker's alone": Mutation(
        "scratch: what one pod makes another can change",
        "echo 'umask 0002' >",
        "echo 'umask 0022' >",
        "a shell that somebody opens has the umask",
    ),
    "a script is careless": Mutation(
        "texts: nextcloud",
        'rm -f "$old"',
        "rm -f $old",
        "SC2086",
    ),
    "a PHP file is broken": Mutation(
        "texts: nextcloud",
        "unset($pso);",
        "unset($pso;",
        "Parse error",
    ),
    "two volumes of a pod have one name": Mutation(
        "texts: nextcloud",
        "name: html\n",
        "name: data\n",
        "two volumes are called 'data'",
    ),
}

MUTATIONS = DATABASE | VALKEY | VOLUMES | SECRETS | INSTALLATION | WEB | TEXTS
