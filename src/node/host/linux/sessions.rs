//! Sessions over iSCSI, connections over NVMe/TCP, and the records of both.

use super::super::record_file;
use super::LinuxHost;
use super::actions::{ARRAY_TIMEOUT, Done, QUERY_TIMEOUT};
use super::arguments::{self, NO_OBJECTS, RECORD, SESSION_EXISTS};
use crate::contract::{BlockTransport, ChapPassword};
use crate::node::decide::{Connection, Effect, HostError, Outcome, RecordPassword};

/// Time in seconds after which requests to an NVMe controller that is away fail, if no other path is left.
const FAST_IO_FAIL: &str = "30";

impl LinuxHost {
    pub(super) async fn session(&self, effect: &Effect) -> Done {
        match effect {
            Effect::WriteRecord { transport: BlockTransport::NvmeTcp, target, portal, .. } => {
                self.record(target, portal, Some(false)).await?;
            }
            Effect::RemoveRecord { transport: BlockTransport::NvmeTcp, target, portal } => {
                self.record(target, portal, None).await?;
            }
            Effect::WriteRecord { target, portal, password, .. } => {
                let base = ["-m", "node", "-T", target, "-p", portal, "-o"];
                let is_there = match password {
                    RecordPassword::Kept => {
                        let printed = self
                            .run(QUERY_TIMEOUT, "iscsiadm", &[&base[..], &["show"]].concat())
                            .await?;
                        if ![0, NO_OBJECTS].contains(&printed.code) {
                            return Err(printed.failed("iscsiadm"));
                        }
                        printed.code == 0
                    }
                    RecordPassword::None | RecordPassword::Given(_) => false,
                };
                if !is_there {
                    self.run_checked(QUERY_TIMEOUT, "iscsiadm", &[&base[..], &["new"]].concat())
                        .await?;
                }
                for (name, value) in RECORD {
                    let update = ["update", "-n", name, "-v", value];
                    self.run_checked(QUERY_TIMEOUT, "iscsiadm", &[&base[..], &update].concat())
                        .await?;
                }
                if let RecordPassword::Given(password) = password {
                    self.write_password(target, portal, password).await?;
                }
            }
            Effect::RemoveRecord { target, portal, .. } => {
                let arguments = ["-m", "node", "-T", target, "-p", portal, "-o", "delete"];
                let printed = self.run(QUERY_TIMEOUT, "iscsiadm", &arguments).await?;
                if ![0, NO_OBJECTS].contains(&printed.code) {
                    return Err(printed.failed("iscsiadm"));
                }
            }
            Effect::LogIn { transport: BlockTransport::NvmeTcp, target, portal } => {
                let (address, port) = arguments::split(portal)
                    .ok_or_else(|| HostError::failed(format!("{portal} has no port")))?;
                let arguments = [
                    "connect",
                    "--transport=tcp",
                    &format!("--traddr={address}"),
                    &format!("--trsvcid={port}"),
                    &format!("--nqn={target}"),
                    // A controller that is gone for ten minutes comes back with its file systems.
                    "--ctrl-loss-tmo=-1",
                ];
                let printed = self.run(ARRAY_TIMEOUT, "nvme", &arguments).await?;
                let is_there = printed.error.contains("already connected");
                if printed.code != 0 && !is_there {
                    return Err(printed.failed("nvme connect"));
                }
                // An admin or the host was faster. What ends in between leaves a record that proves nothing.
                self.record(target, portal, (printed.code == 0).then_some(true)).await?;
                for controller in self.sysfs.controllers(target) {
                    self.fail_fast(&controller).await?;
                }
            }
            Effect::LogOut { transport: BlockTransport::NvmeTcp, session, .. } => {
                self.run_checked(
                    ARRAY_TIMEOUT,
                    "nvme",
                    &["disconnect", &format!("--device={session}")],
                )
                .await?;
            }
            Effect::LogIn { target, portal, .. } => {
                let arguments = ["-m", "node", "-T", target, "-p", portal, "--login"];
                let printed = self.run(ARRAY_TIMEOUT, "iscsiadm", &arguments).await?;
                if ![0, SESSION_EXISTS].contains(&printed.code) {
                    return Err(printed.failed("iscsiadm"));
                }
            }
            Effect::LogOut { session, .. } => {
                let number = session.trim_start_matches("session");
                let arguments = ["-m", "session", "-r", number, "--logout"];
                let printed = self.run(ARRAY_TIMEOUT, "iscsiadm", &arguments).await?;
                if ![0, NO_OBJECTS].contains(&printed.code) {
                    return Err(printed.failed("iscsiadm"));
                }
            }
            _ => {}
        }
        Ok(Outcome::Done)
    }

    /// Writes the record of a connection over NVMe/TCP, with whether it is the node service's own, or removes it.
    async fn record(
        &self,
        target: &str,
        portal: &str,
        connected: Option<bool>,
    ) -> Result<(), HostError> {
        let folder = self.connections.clone();
        let (target, portal) = (target.to_owned(), portal.to_owned());
        let own = Connection { target, portal, connected: connected.unwrap_or_default() };
        let work = move || match connected {
            Some(_) => folder.write(&own),
            None => folder.remove(&own),
        };
        self.files("record of a connection".to_owned(), work).await
    }

    /// Writes the password of this node to the record of a port. iscsiadm takes a password only as an argument, which every
    /// user of the host reads, so it goes into the record's file.
    async fn write_password(
        &self,
        target: &str,
        portal: &str,
        password: &ChapPassword,
    ) -> Result<(), HostError> {
        let user = self.initiator_names().iqn.ok_or_else(|| {
            HostError::failed("this host has no initiator name, which is its CHAP name")
        })?;
        let root = self.root_of(self.iscsid());
        let (address, port) = arguments::split(portal)
            .ok_or_else(|| HostError::failed(format!("{portal} has no port")))?;
        let (address, port) = (address.to_owned(), port.to_owned());
        let (target, password) = (target.to_owned(), password.clone());
        let write = move || record_file::write(&root, &target, (&address, &port), &user, &password);
        self.files("the record of a port".to_owned(), write).await
    }

    /// Lets requests end with an error when a controller has been away for a time. nvme-cli 2.3 of Debian
    /// 12 has no option for it, so it is set in sysfs, where kernels from 5.11 on have it.
    pub(super) async fn fail_fast(&self, controller: &str) -> Result<(), HostError> {
        let path = format!("class/nvme/{controller}/fast_io_fail_tmo");
        if self.sysfs.root.join(&path).exists() {
            self.write(&path, FAST_IO_FAIL.to_owned()).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::super::LinuxSetup;
    use super::*;
    use crate::node::host::Host as _;

    const PORTAL: &str = "10.0.0.1:4420";
    const TARGET: &str = "nqn.2010-06.com.purestorage:flasharray.1";

    /// A host on which each program is a script of the shell, whose `$3` is the program's name.
    fn host(folder: &Path, script: &str) -> LinuxHost {
        let enter = folder.join("enter");
        fs::write(&enter, format!("#!/bin/sh\n{script}\n")).expect("written");
        fs::set_permissions(&enter, fs::Permissions::from_mode(0o700)).expect("set");
        let (sys, proc, root) = (folder.join("sys"), folder.join("proc"), folder.to_owned());
        let kubelet = "/kubelet".into();
        LinuxHost::new(LinuxSetup { sys, proc, root, kubelet, enter: Some(enter) })
    }

    async fn connect(folder: &Path, script: &str) -> Vec<bool> {
        let host = host(folder, script);
        let (transport, target, portal) =
            (BlockTransport::NvmeTcp, TARGET.to_owned(), PORTAL.to_owned());
        let write = Effect::WriteRecord {
            transport,
            target: target.clone(),
            portal: portal.clone(),
            password: RecordPassword::None,
        };
        host.execute(&write).await.expect("written");
        let records = host.connected().await.expect("read");
        assert_eq!(records.iter().map(|own| own.connected).collect::<Vec<_>>(), [false]);
        let _ = host.execute(&Effect::LogIn { transport, target, portal }).await;
        host.connected().await.expect("read").iter().map(|own| own.connected).collect()
    }

    #[tokio::test]
    async fn a_connection_counts_as_its_own_only_after_its_own_success() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(connect(folder.path(), "exit 0").await, [true]);
        let is_there = "echo 'Failed to write to /dev/nvme-fabrics: already connected' >&2; exit 1";
        assert!(connect(folder.path(), is_there).await.is_empty(), "it is that of another");
        assert_eq!(connect(folder.path(), "echo 'no route' >&2; exit 1").await, [false]);
    }

    /// Writes a record, and returns the orders that iscsiadm got.
    async fn orders(is_there: bool, password: RecordPassword) -> Vec<String> {
        let folder = tempfile::tempdir().expect("a folder");
        let orders = folder.path().join("orders");
        let show = if is_there { 0 } else { NO_OBJECTS };
        let script = format!(
            "echo \"${{11}} ${{15}}\" >> {}; [ \"${{11}}\" != show ] || exit {show}",
            orders.display()
        );
        let write = Effect::WriteRecord {
            transport: BlockTransport::Iscsi,
            target: TARGET.to_owned(),
            portal: PORTAL.to_owned(),
            password,
        };
        host(folder.path(), &script).execute(&write).await.expect("written");
        let all = fs::read_to_string(orders).expect("some");
        all.lines().map(|line| line.trim().to_owned()).collect()
    }

    #[tokio::test]
    async fn a_record_that_may_have_a_password_is_created_only_if_it_is_missing() {
        for (is_there, password, first) in [
            (true, RecordPassword::None, vec!["new"]),
            (true, RecordPassword::Kept, vec!["show"]),
            (false, RecordPassword::Kept, vec!["show", "new"]),
        ] {
            let updates = ["update manual", "update manual", "update manual", "update 1"];
            assert_eq!(orders(is_there, password).await, [first, updates.to_vec()].concat());
        }
    }
}
