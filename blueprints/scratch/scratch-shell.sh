# shellcheck shell=bash
# Read by every bash that starts in the pod: all pods and users of the space share its files.
umask 0002
