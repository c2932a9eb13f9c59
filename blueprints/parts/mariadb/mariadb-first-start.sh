#!/bin/bash
# The image runs this at the end of a first start, when database and users are made.
rm -f "${MARIADB_DATA:-/var/lib/mysql}/.pso-gen.first-start"
