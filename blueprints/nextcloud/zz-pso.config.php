<?php
// Settings that follow the app file at every start. Nextcloud reads config/*.config.php in the order
// of their names, so this one has the last word over what was frozen at installation.

$pso = static function (string $name): ?string {
    $file = getenv($name . '_FILE');
    if ($file !== false && is_readable($file)) {
        return trim((string) file_get_contents($file));
    }
    $value = getenv($name);
    return $value === false || $value === '' ? null : $value;
};

$CONFIG = array_filter([
    'dbhost' => $pso('MYSQL_HOST'),
    'dbname' => $pso('MYSQL_DATABASE'),
    'dbuser' => $pso('MYSQL_USER'),
    'dbpassword' => $pso('MYSQL_PASSWORD'),
    'overwriteprotocol' => $pso('OVERWRITEPROTOCOL'),
    'overwrite.cli.url' => $pso('OVERWRITECLIURL'),
    // Numbered from 0, or an entry of the installation would stay behind them.
    'trusted_domains' => preg_split('/\s+/', (string) $pso('NEXTCLOUD_TRUSTED_DOMAINS'), -1, PREG_SPLIT_NO_EMPTY),
    'trusted_proxies' => preg_split('/\s+/', (string) $pso('TRUSTED_PROXIES'), -1, PREG_SPLIT_NO_EMPTY),
]);
unset($pso);
