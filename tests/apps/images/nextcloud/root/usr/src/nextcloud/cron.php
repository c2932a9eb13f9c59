<?php
// Stand-in, written for these tests: background jobs of an installed Nextcloud, as the owner of its files.
require '/var/www/html/config/config.php';
if (!$CONFIG['installed'] || fileowner('/var/www/html/config/config.php') !== posix_getuid()) {
    exit(1);
}
// Where a test may hold it: until the file is gone.
touch('/stand-in/database/at-cron');
while (file_exists('/stand-in/database/hold-cron')) {
    clearstatcache();
    usleep(10000);
}
file_put_contents('/stand-in/database/log', "cron\n", FILE_APPEND);
