<?php
$OC_Version = [10, 16, 4, 1];
