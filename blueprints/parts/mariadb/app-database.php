<?php
// What the start sequence of an app asks its MariaDB: whether it answers, what it has, whether an installation may begin.
//
//   app-database.php wait SECONDS [HOST:PORT ...]   succeeds once the database accepts the app's password, and each port accepts connections
//   app-database.php tables                         prints the number of tables
//   app-database.php may-install FILE               succeeds if the database is empty, or has nothing but the rest of an
//                                                   installation that was cut short, which it removes
//   app-database.php installed FILE                 notes the end of the installation
//
// An installation leaves a random token in FILE, on the app's volume, and in the database while it runs. Only tables
// beside the same token are removed: they are younger than the token, and no user has ever worked with them.
//
// Settings: DB_HOST, with a port or without, DB_NAME, DB_USER, DB_PASSWORD or DB_PASSWORD_FILE; DB_OUTSIDE, if the server
// is outside the app.

const TOKEN_TABLE = 'pso_gen_installing';

function fail(string $why)
{
    fwrite(STDERR, "$why\n");
    exit(1);
}

function setting(string $name): string
{
    $file = getenv($name . '_FILE');
    if ($file !== false && $file !== '') {
        return rtrim((string) file_get_contents($file), "\r\n");
    }
    $value = getenv($name);
    return $value === false ? '' : $value;
}

function connect(): PDO
{
    // The apps take the port with the host.
    [$host, $port] = explode(':', setting('DB_HOST') . ':3306');
    $where = sprintf('mysql:host=%s;port=%d;dbname=%s;charset=utf8mb4', $host, $port, setting('DB_NAME'));
    return new PDO($where, setting('DB_USER'), setting('DB_PASSWORD'), [
        PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
        PDO::ATTR_TIMEOUT => 5,
    ]);
}

// Calls $try until it returns an empty text, and fails when the time is over.
function wait_until(int $deadline, string $for, callable $try): void
{
    $reported = 0;
    while (($why = $try()) !== '') {
        if (time() >= $deadline) {
            fail("$for does not answer: $why");
        }
        if (time() - $reported >= 30) {
            echo "waiting for $for: $why\n";
            $reported = time();
        }
        usleep(500000);
    }
}

// What helps against a refused log-in.
function remedy(): string
{
    if (setting('DB_OUTSIDE') !== '') {
        return sprintf('The key `password` of the Secret in `secrets.database` must have the password of the user %s,'
            . ' who needs all rights on the database %s on that server', setting('DB_USER'), setting('DB_NAME'));
    }
    return 'Its password is in the Secret of the app, and in the database; the page of the app (docs/nextcloud.md,'
        . ' docs/owncloud.md) describes in section Rotate how to change both';
}

function wait(int $seconds, array $ports): void
{
    $deadline = time() + $seconds;
    wait_until($deadline, 'the database ' . setting('DB_HOST'), static function (): string {
        try {
            connect();
            return '';
        } catch (PDOException $error) {
            // 1044 and 1045: it answers, and refuses. Waiting does not change that.
            if (preg_match('/\[(1044|1045)\]/', $error->getMessage())) {
                fail('the database refuses the app: ' . $error->getMessage() . '. ' . remedy());
            }
            // 1049: the server has no such database. The app's own server creates it at its first start.
            if (setting('DB_OUTSIDE') !== '' && strpos($error->getMessage(), '[1049]') !== false) {
                fail(sprintf('the server %s has no database %s: its operator creates the database, with all rights for the user %s',
                    setting('DB_HOST'), setting('DB_NAME'), setting('DB_USER')));
            }
            return $error->getMessage();
        }
    });
    foreach ($ports as $port) {
        wait_until($deadline, $port, static function () use ($port): string {
            $socket = @stream_socket_client("tcp://$port", $code, $why, 5);
            if ($socket === false) {
                return $why;
            }
            fclose($socket);
            return '';
        });
    }
}

function tables(PDO $database): array
{
    $all = $database->query('SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = DATABASE()');
    $types = $all->fetchAll(PDO::FETCH_KEY_PAIR);
    unset($types[TOKEN_TABLE]);
    return $types;
}

function token(PDO $database): string
{
    try {
        return (string) $database->query('SELECT token FROM ' . TOKEN_TABLE)->fetchColumn();
    } catch (PDOException $error) {
        return '';
    }
}

function may_install(string $file): void
{
    $database = connect();
    $tables = tables($database);
    $noted = is_file($file) ? trim((string) file_get_contents($file)) : '';
    $same = $noted !== '' && $noted === token($database);
    if ($tables && !$same) {
        fail(sprintf('the database %s on %s has %d tables already: installing would damage them',
            setting('DB_NAME'), setting('DB_HOST'), count($tables)));
    }
    if ($tables) {
        $database->exec('SET FOREIGN_KEY_CHECKS = 0');
        foreach ($tables as $name => $type) {
            $database->exec(sprintf('DROP %s `%s`', $type === 'VIEW' ? 'VIEW' : 'TABLE', str_replace('`', '``', $name)));
        }
        echo count($tables) . " tables of an installation that was cut short are removed\n";
    }
    if (!$same) {
        $new = bin2hex(random_bytes(16));
        // The file first: a token in the database alone proves nothing.
        if (file_put_contents("$file.new", "$new\n") === false || !rename("$file.new", $file)) {
            fail("cannot write $file");
        }
        $database->exec('CREATE TABLE IF NOT EXISTS ' . TOKEN_TABLE . ' (token VARCHAR(64) NOT NULL)');
        $database->exec('DELETE FROM ' . TOKEN_TABLE);
        $database->prepare('INSERT INTO ' . TOKEN_TABLE . ' VALUES (?)')->execute([$new]);
    }
}

function installed(string $file): void
{
    connect()->exec('DROP TABLE IF EXISTS ' . TOKEN_TABLE);
    if (is_file($file) && !unlink($file)) {
        fail("cannot remove $file");
    }
}

try {
    switch ($argv[1] ?? '') {
        case 'wait':
            wait((int) $argv[2], array_slice($argv, 3));
            break;
        case 'tables':
            echo count(tables(connect())), "\n";
            break;
        case 'may-install':
            may_install($argv[2]);
            break;
        case 'installed':
            installed($argv[2]);
            break;
        default:
            fail('app-database.php: unknown command');
    }
} catch (PDOException $error) {
    fail('the database ' . setting('DB_HOST') . ' says: ' . $error->getMessage());
}
