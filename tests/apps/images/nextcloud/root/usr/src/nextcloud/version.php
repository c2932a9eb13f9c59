<?php
$OC_Version = [34, 0, 3, 2];
