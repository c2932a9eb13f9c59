<?php
// Stand-in, written for these tests: background jobs of an installed Nextcloud, as the owner of its files.
require '/var/www/html/config/config.php';
if (!$CONFIG['installed'] || fileowner('/var/www/html/config/config.php') !== posix_getuid()) {
    exit(1);
}
file_put_contents('/stand-in/database/log', "cron\n", FILE_APPEND);
