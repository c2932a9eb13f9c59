#!/usr/bin/env php
<?php
// Writes the app file's settings beside config.php, in a file of their own that replaces itself: what the app file does
// not say any more is gone from it. The apps copy all settings that they see into config.php whenever they write it, so
// settings that were taken away are removed there as well. What an administrator has set is left alone.

const OURS = 'zz-pso-settings.config.php';
// The settings that earlier runs have set.
const KEYS = 'pso-gen.keys.json';
// What an installation cannot do without. It stays in config.php when the file of an earlier run had it.
const INSTALLATION = [
    'datadirectory', 'dbhost', 'dbname', 'dbpassword', 'dbtableprefix', 'dbtype', 'dbuser', 'installed', 'instanceid',
    'passwordsalt', 'secret', 'version',
];

function fail(string $why): void
{
    fwrite(STDERR, "$why\n");
    exit(1);
}

/** Returns the mapping in a JSON file, or an empty one if there is no such file. */
function mapping(string $path): array
{
    if (!is_file($path)) {
        return [];
    }
    $value = json_decode((string) file_get_contents($path), true);
    if (!is_array($value)) {
        fail("$path is not a mapping in JSON: " . json_last_error_msg());
    }
    return $value;
}

/** Replaces a file as a whole: a reader sees the old or the new one, also after a crash. */
function replace(string $path, string $text): void
{
    if (is_file($path) && file_get_contents($path) === $text) {
        return;
    }
    $new = "$path.new";
    $file = fopen($new, 'w');
    if ($file === false || !chmod($new, 0640) || fwrite($file, $text) !== strlen($text) || !fflush($file)) {
        fail("$new cannot be written");
    }
    // Since PHP 8.1; before, the file system decides when.
    if (function_exists('fsync') && !fsync($file)) {
        fail("$new cannot be written to the volume");
    }
    fclose($file);
    if (!rename($new, $path)) {
        fail("$path cannot be replaced");
    }
}

/** Returns the settings in a file of the app's own form. */
function settings(string $path): array
{
    $CONFIG = [];
    require $path;
    return $CONFIG;
}

function text(array $settings): string
{
    return "<?php\n\$CONFIG = " . var_export($settings, true) . ";\n";
}

$folder = getenv('PSO_CONFIG_FOLDER') ?: fail('PSO_CONFIG_FOLDER is missing');
$config = "$folder/config.php";
if (!is_file($config) || (settings($config)['installed'] ?? false) !== true) {
    // The apps copy their own files into this folder only while it is empty.
    echo "The app is not installed yet, so it gets no settings.\n";
    exit(0);
}

$app = mapping(getenv('PSO_SETTINGS') ?: '/etc/pso/settings.json');
$secret = mapping(getenv('PSO_SECRET_SETTINGS') ?: '/run/secrets/pso/settings.json');
$settings = array_replace($app['settings'] ?? [], $secret);
// Settings that other files of the image make of the app file.
$keys = array_unique(array_merge(array_map('strval', array_keys($settings)), $app['keys'] ?? []));
$before = mapping("$folder/" . KEYS);

// First the record, so that a run that is cut short leaves no setting that the next one does not know.
replace("$folder/" . KEYS, json_encode(array_values(array_unique(array_merge($before, $keys)))) . "\n");
replace("$folder/" . OURS, text($settings));
$gone = array_diff($before, $keys, INSTALLATION);
$left = settings($config);
$kept = array_diff_key($left, array_flip($gone));
if ($kept !== $left) {
    replace($config, text($kept));
    echo 'Removed from config.php: ' . implode(', ', array_keys(array_diff_key($left, $kept))) . "\n";
}
replace("$folder/" . KEYS, json_encode(array_values($keys)) . "\n");
