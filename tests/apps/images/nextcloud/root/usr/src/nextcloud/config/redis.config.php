<?php
$CONFIG = ['memcache.locking' => '\OC\Memcache\Redis'];
