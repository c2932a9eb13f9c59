<?php
// Stand-in, written for these tests: what the app sees of its client.
header('Content-Type: application/json');
echo json_encode(['installed' => true, 'address' => $_SERVER['REMOTE_ADDR']]);
