<?php
// Stand-in, written for these tests: the state, for those who ask by a trusted name. Nextcloud merges
// config/*.config.php over config.php in the order of their names, trusts localhost always, and trusts
// any name once `overwritehost` is set.
$merged = [];
$files = glob('/var/www/html/config/*.config.php');
natsort($files);
foreach (['/var/www/html/config/config.php', ...$files] as $file) {
    $CONFIG = [];
    require $file;
    $merged = array_merge($merged, $CONFIG);
}
$host = preg_replace('/:\d+$/', '', $_SERVER['HTTP_HOST'] ?? '');
$trusted = ['localhost', ...$merged['trusted_domains']];
if (!isset($merged['overwritehost']) && !in_array($host, $trusted, true)) {
    http_response_code(400);
    exit("Access through untrusted domain $host\n");
}
header('Content-Type: application/json');
echo json_encode([
    'installed' => $merged['installed'],
    'dbhost' => $merged['dbhost'],
    'address' => $_SERVER['REMOTE_ADDR'],
    'limits' => array_map(fn ($name) => ini_parse_quantity(ini_get($name)),
        ['upload_max_filesize', 'post_max_size', 'memory_limit']),
]);
