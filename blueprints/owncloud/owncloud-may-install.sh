#!/bin/bash
# The image runs this in its start sequence, before it decides between an installation and an upgrade. Only the step
# install has the administrator's password; anywhere else the image would install as admin/admin.
if [ "${PSO_MAY_INSTALL-}" != yes ] && ! grep -Eqs "^[[:space:]]{0,3}'installed' *=> *true" "$OWNCLOUD_VOLUME_CONFIG/config.php"; then
  echo "ownCloud is not installed: the volume files has no config/config.php that says so." >&2
  echo "Only a new pod installs it: restore the volume, or delete this pod to begin anew with an empty volume and database." >&2
  exit 1
fi
