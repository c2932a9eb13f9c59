<?php
// Stand-in, written for these tests: begins to read what is sent.
echo strlen(fread(fopen('php://input', 'r'), 1)), "\n";
