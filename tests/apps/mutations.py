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
    "the backup does not wait for its database": Mutation(
        "backup: waits for a database that restarts",
        'if [ "$SECONDS" -lt "${DB_WAIT:-600}" ]; then',
        "if false; then",
        "it does not wait",
    ),
    "the backup waits for a password to become right": Mutation(
        "backup: says at once that the password is wrong",
        '*"ERROR 1044"* | *"ERROR 1045"*) ;;',
        '*"ERROR 1044"*) ;;',
        "has not ended after 30 s",
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

FIRST_START = {
    "a first start that was cut short looks finished": Mutation(
        "mariadb: a first start that was cut short is done again",
        ': > "$note"',
        "true",
        "no answer to the startup probe",
    ),
    "a wrong note removes a database": Mutation(
        "mariadb: a first start that was cut short is done again",
        """if [ -n "$(find "$data" -mindepth 2""",
        """if false && [ -n "$(find "$data" -mindepth 2""",
        "the exit code of a statement",
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
    "Valkey does not start with a damaged file": Mutation(
        "valkey: starts with zeros at the end of its file",
        """if [ -e "$files/appendonly.aof.manifest" ] &&""",
        "if false &&",
        "Bad file format reading the append only file",
    ),
    "Valkey drops what it can repair": Mutation(
        "valkey: starts with zeros at the end of its file",
        """if ! echo y | "$check" --fix""",
        """if ! echo n | "$check" --fix""",
        "what was written before the damage",
    ),
    "Valkey does not start with a file that cannot be read": Mutation(
        "valkey: starts empty when its file cannot be read",
        'mv "$files" "$files.damaged"',
        "true",
        "Bad file format reading the append only file",
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
        '--folder=.\n        - --owner=33:33\n        - --mode=0770',
        '--folder=.\n        - --owner=999:33\n        - --mode=0770',
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
        'can_write "$1" ||',
        "true ||",
        "and is 0, wanted 1",
    ),
}

CLAIMS = {
    "a step advises what is written already": Mutation(
        "volume_owner: checks what the array gave away",
        "; without \\`security: {ownership: check}\\`, an init",
        "; write \\`security: {ownership: check}\\`, an init",
        "it advises what is written already",
    ),
    "what is on a claim is not looked at": Mutation(
        "claims: peoples folders are not taken for the program",
        '      if [ -n "$holds" ]; then',
        "      if false; then",
        "the exit code of pso-volumes-give",
    ),
    "a note of another volume is not read": Mutation(
        "claims: every volume refuses the others",
        """[ "$noted" = "$is" ] ||""",
        "true ||",
        "the exit code of pso-volumes-give",
    ),
    "a new folder hides an old database": Mutation(
        "claims: a database at the top of a block volume is found",
        'elif [ -z "$chosen" ]; then',
        "elif false; then",
        "it does not say 'data at its top'",
    ),
    "volumes are written to before all have passed": Mutation(
        "claims: nothing is written when the second folder is refused",
        'if [ "$pass" = inspect ]; then',
        "if [ \"$pass\" = inspect ]; then inspect; elif false; then",
        "it changed the claim",
    ),
    "a folder of the app itself is taken for foreign data": Mutation(
        "claims: two folders of an empty claim begin there",
        'exists "$top/$inner/$note" ||',
        "false ||",
        "the exit code of pso-volumes-give",
    ),
    "a folder that is missing is made": Mutation(
        "claims: a folder that is not there is not made",
        'elif [ ! -d "$folder" ]; then',
        "elif false; then",
        "the exit code of pso-volumes-give",
    ),
    "a data set is given away": Mutation(
        "claims: scratch takes no data set away",
        'elif [ -n "$taken_over" ] &&',
        "elif false &&",
        "the exit code of pso-volumes-give",
    ),
    "Nextcloud is installed beside users' files": Mutation(
        "claims: old files do not get a new installation",
        """if [ ! -e "$installing" ] && [ -n "$(users_files)" ]; then""",
        "if false; then",
        "it installs over files",
    ),
    "Nextcloud is installed over an old database": Mutation(
        "claims: an old database does not get a new installation",
        "if ($tables && !$same) {",
        "if (false) {",
        "it installs over tables",
    ),
    "an installed Nextcloud starts with an empty database": Mutation(
        "claims: an installed program does not get an empty database",
        """[ "$(php "$database" tables)" -ne 0 ] ||""",
        "true ||",
        "it does not say what is missing",
    ),
    "ownCloud is installed over an old database": Mutation(
        "claims: owncloud is not installed over an old database",
        "if ($tables && !$same) {",
        "if (false) {",
        "it does not refuse",
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

ADDITIONS = {
    "a sidecar may write": Mutation(
        "additions: a sidecar reads a volume and cannot write to it",
        "- mountPath: /files\n          name: data\n          readOnly: true",
        "- mountPath: /files\n          name: data",
        "which said",
    ),
}

EXTERNAL = {
    "sessions go to the usual port of another cache": Mutation(
        "external: nextcloud installs and runs its jobs",
        'getenv("REDIS_HOST_PORT") ?: "6379"',
        '"6379"',
        "what a session holds",
    ),
    "tables of others are installed over": Mutation(
        "external: nextcloud refuses a database with tables of others",
        "if ($tables && !$same) {",
        "if (false) {",
        "it does not refuse",
    ),
    "a missing database of a server outside is waited for": Mutation(
        "external: nextcloud says at once what the operator of the server has to do",
        "if (setting('DB_OUTSIDE') !== '' && strpos(",
        "if (false && strpos(",
        "has not ended after",
    ),
    "the remedies for the app's own server are those for one outside": Mutation(
        "external: nextcloud does not start without the data of its own database",
        'if [ -n "${DB_OUTSIDE-}" ]; then',
        "if false; then",
        "it names no fix",
    ),
}

INSTALLATION = {
    "ownCloud's pods know no lock": Mutation(
        "owncloud: two pods at once install once",
        "- flock\n        - /mnt/data/.pso-gen.lock\n",
        "",
        "another pod is at the stage 'tables' too",
    ),
    "ownCloud's background jobs know no lock": Mutation(
        "owncloud: background jobs keep away from an upgrade",
        '''if [ "$busy" -eq 75 ] || ! grep -Eq "^[[:space:]]{0,3}'version' *=> *'$version'" "$config"; then''',
        "if false; then",
        "the exit code of a pod",
    ),
    "ownCloud's jobs do not look whether it is installed": Mutation(
        "owncloud: jobs do not install it",
        """if ! grep -Eqs "^[[:space:]]{0,3}'installed' *=> *true" "$volume/config/config.php"; then""",
        "if false; then",
        "it fails for another reason",
    ),
    "ownCloud is served uninstalled": Mutation(
        "owncloud: is not served unless installed",
        """*'"installed":true'*) ;;""",
        """*'"installed":'*) ;;""",
        "it does not say why it fails",
    ),
    "Nextcloud's pods know no lock": Mutation(
        "nextcloud: two pods at once install once",
        "- flock\n        - /var/www/html/data/.pso-gen.lock\n",
        "",
        "no pod that waits for a lock",
    ),
    "an installation that was killed looks finished": Mutation(
        "nextcloud: an installation that was killed is done again",
        'rm "$html/version.php"',
        "true",
        "no installation at the stage 'login'",
    ),
    "a restart ends an operator's maintenance mode": Mutation(
        "nextcloud: an operators maintenance mode stays",
        """grep -Eqs "^[[:space:]]{0,3}'maintenance' *=> *true" "$html/config/config.php" ||""",
        "",
        "the maintenance mode after a restart is False",
    ),
    "the rest of an installation stays in the database": Mutation(
        "nextcloud: an installation that was killed is done again",
        "if ($tables && !$same) {",
        "if ($tables) {",
        "tables already",
    ),
    "tables of another database are removed": Mutation(
        "nextcloud: never removes tables of another database",
        "$same = $noted !== '' && $noted === token($database);",
        "$same = $noted !== '';",
        "it installs over a database that has tables",
    ),
    "a pod does not wait for its database": Mutation(
        "nextcloud: waits for its database and cache",
        "if (time() >= $deadline) {",
        "if (true) {",
        "it does not wait for db",
    ),
    "a pod does not wait for its cache": Mutation(
        "nextcloud: waits for its database and cache",
        """wait 900 ${REDIS_HOST:+"$REDIS_HOST:${REDIS_HOST_PORT:-6379}"}""",
        "wait 900",
        "it does not wait for redis",
    ),
    "a pod waits for a password to become right": Mutation(
        "nextcloud: says at once when the database refuses it",
        "/\\[(1044|1045)\\]/",
        "/never/",
        "has not ended after 30 s",
    ),
    "Nextcloud's upgrade does not wait for jobs": Mutation(
        "nextcloud: an upgrade waits for background jobs",
        "flock --shared --nonblock --conflict-exit-code 75 8",
        "true",
        "another pod is at the stage 'upgrade' too",
    ),
    "Nextcloud's jobs run beside an upgrade": Mutation(
        "nextcloud: background jobs keep away from an upgrade",
        """|| ! cmp -s "$html/version.php" "$image/version.php"; then""",
        "; then",
        "what was done while the upgrade was under way",
    ),
    "a lock that fails counts as an upgrade": Mutation(
        "nextcloud: a job whose lock fails does not succeed",
        """if [ "$code" -eq 75 ] || ! cmp""",
        """if [ "$code" -ne 0 ] || ! cmp""",
        "the exit code of a job that cannot lock",
    ),
    "the cache's password is put into a URL as it is": Mutation(
        "nextcloud: logs in with any password of the cache",
        "rawurlencode(rtrim(",
        "(rtrim(",
        "what a session holds",
    ),
    "ownCloud's jobs run the start sequence": Mutation(
        "owncloud: jobs leave the start sequence out",
        '"$entrypoint" occ system:cron --no-interaction',
        '"$entrypoint" /usr/bin/owncloud occ system:cron --no-interaction',
        "what the job cron runs",
    ),
    "chunks of uploads that broke off stay": Mutation(
        "owncloud: jobs leave the start sequence out",
        '"$entrypoint" occ dav:cleanup-chunks --no-interaction',
        "true",
        "what the job cron runs",
    ),
    "ownCloud's upgrade does not wait for jobs": Mutation(
        "owncloud: an upgrade waits for background jobs",
        "flock --shared --nonblock --conflict-exit-code 75 8",
        "true",
        "another pod is at the stage 'upgrade' too",
    ),
    "an upgrade of ownCloud that was killed stays in maintenance": Mutation(
        "owncloud: an upgrade that was killed is finished",
        """"$entrypoint" occ maintenance:mode --off --no-interaction""",
        "true",
        "it stays in maintenance",
    ),
    "a running pod of ownCloud installs": Mutation(
        "owncloud: a running pod never installs",
        """if [ "${PSO_MAY_INSTALL-}" != yes ] &&""",
        "if false &&",
        "it starts without an installation",
    ),
    "ownCloud puts the cache's password into a URL as it is": Mutation(
        "owncloud: logs in with any password of the cache",
        'rawurlencode(getenv("OWNCLOUD_REDIS_PASSWORD"))',
        'getenv("OWNCLOUD_REDIS_PASSWORD")',
        "what a session holds",
    ),
    "a lock of ownCloud that fails counts as an upgrade": Mutation(
        "owncloud: a job whose lock fails does not succeed",
        """if [ "$busy" -eq 75 ] || ! grep -Eq""",
        """if [ "$busy" -ne 0 ] || ! grep -Eq""",
        "the exit code of a job that cannot lock",
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
    "no network is one of proxies": Mutation(
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
        "$gone = array_diff($before, $keys, INSTALLATION);",
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
        "echo '. /pso/scratch-shell.sh' >",
        "echo 'umask 0022' >",
        "a shell that somebody opens has the umask",
    ),
    "a command in a scratch pod has another umask than a shell": Mutation(
        "scratch: what one pod makes another can change",
        "- name: BASH_ENV",
        "- name: NO_BASH_ENV",
        "the mode of data/command",
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
    "logs fill the ephemeral storage of a server": Mutation(
        "texts: nextcloud",
        "ephemeral-storage: 256Mi\n            memory: 512Mi",
        "ephemeral-storage: 64Mi\n            memory: 512Mi",
        "too little for logs",
    ),
    "a container ends without a message": Mutation(
        "texts: nextcloud",
        "terminationMessagePolicy: FallbackToLogsOnError",
        "terminationMessagePolicy: File",
        "ends without a message",
    ),
    "two volumes of a pod have one name": Mutation(
        "texts: nextcloud",
        "name: html\n",
        "name: data\n",
        "two volumes are called 'data'",
    ),
}

MUTATIONS = DATABASE | FIRST_START | VALKEY | VOLUMES | CLAIMS | SECRETS | ADDITIONS | EXTERNAL | INSTALLATION | WEB | TEXTS
