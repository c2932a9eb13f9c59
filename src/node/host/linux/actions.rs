//! Each effect as one action on the host.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::device;
use super::LinuxHost;
use super::arguments;
use crate::node::decide::{Device, Effect, HostError, HostErrorKind, Outcome, ScsiAddress};
use crate::node::request::FsType;

/// For programs that ask a daemon or a device.
pub(super) const QUERY_TIMEOUT: Duration = Duration::from_secs(20);
/// For programs that talk to an array or write out a file system.
pub(super) const ARRAY_TIMEOUT: Duration = Duration::from_secs(60);
/// For programs that read or write a whole file system.
const FILE_SYSTEM_TIMEOUT: Duration = Duration::from_secs(30 * 60);

pub(super) type Done = Result<Outcome, HostError>;

fn text(path: &Path) -> Result<&str, HostError> {
    path.to_str().ok_or_else(|| HostError::failed(format!("{} is no UTF-8", path.display())))
}

impl LinuxHost {
    pub(super) async fn execute(&self, effect: &Effect) -> Done {
        match effect {
            Effect::WriteState(state) => {
                let (states, state) = (self.states.clone(), (**state).clone());
                self.files("state file".to_owned(), move || states.write(&state)).await?;
            }
            Effect::RemoveState(staging) => {
                let (states, staging) = (self.states.clone(), staging.clone());
                self.files("state file".to_owned(), move || states.remove(&staging)).await?;
            }
            Effect::WriteRecord { .. }
            | Effect::RemoveRecord { .. }
            | Effect::LogIn { .. }
            | Effect::LogOut { .. } => return self.session(effect).await,
            Effect::Scan(ScsiAddress { bus, lun }) => {
                let path = format!("class/scsi_host/host{}/scan", bus.host);
                self.write(&path, format!("{} {} {lun}", bus.channel, bus.target)).await?;
            }
            Effect::Inquire { disk, address } => return self.inquire(disk, *address).await,
            Effect::InquireNamespace(device) => {
                let path = self.verified(device)?;
                let arguments = ["id-ns", &path, "--output-format=json"];
                let printed = self.run_checked(QUERY_TIMEOUT, "nvme", &arguments).await?;
                let (identity, size) = arguments::namespace(&printed.out).ok_or_else(|| {
                    HostError::failed(format!("nvme id-ns {path} prints neither identity nor size"))
                })?;
                return Ok(Outcome::Namespace(identity, size));
            }
            Effect::RescanDisk { address, .. } => {
                self.write(&format!("class/scsi_device/{address}/device/rescan"), "1".to_owned())
                    .await?;
            }
            Effect::RescanController(name) => {
                self.fail_fast(name).await?;
                self.write(&format!("class/nvme/{name}/rescan_controller"), "1".to_owned()).await?;
            }
            Effect::DeleteDisk { disk, address } => return self.delete(disk, *address).await,
            Effect::CreateMap { .. }
            | Effect::AddPath(_)
            | Effect::RemovePath(_)
            | Effect::ResizeMap(_)
            | Effect::ResumeMap(_)
            | Effect::StopQueueing(_)
            | Effect::FlushMap(_) => return self.multipath(effect).await,
            Effect::FlushBuffers(device) => {
                let path = self.verified(device)?;
                self.run_checked(ARRAY_TIMEOUT, "blockdev", &["--flushbufs", &path]).await?;
            }
            Effect::Probe(device) => return self.probe(device).await,
            Effect::RecordFormatted => {
                return Err(HostError::failed("the cluster, and not the host, has this record"));
            }
            Effect::MakeFileSystem { .. }
            | Effect::CheckFileSystem { .. }
            | Effect::ReadFileSystemSize { .. }
            | Effect::ExpandFileSystem { .. } => return self.file_system(effect).await,
            Effect::ReadFolder(path) => {
                self.files_at(path, |at| fs::read_dir(at)?.next().transpose().map(|_| ())).await?;
            }
            Effect::TryToWrite(path) => self.at(path, device::try_to_write).await?,
            Effect::SealFolder(path) => self.at(path, device::seal).await?,
            Effect::UnsealFolder(path) => self.at(path, device::unseal).await?,
            Effect::CreateFile(path) => self.at(path, device::create_file).await?,
            Effect::RemoveNode(path) => self.at(path, device::remove).await?,
            Effect::Mount { .. }
            | Effect::BindMount { .. }
            | Effect::BindDevice { .. }
            | Effect::Unmount { .. } => return self.mount(effect).await,
        }
        Ok(Outcome::Done)
    }

    async fn at(&self, path: &Path, work: fn(&Path) -> io::Result<()>) -> Result<(), HostError> {
        self.files_at(path, work).await
    }

    /// Writes to a file of sysfs.
    pub(super) async fn write(&self, path: &str, text: String) -> Result<(), HostError> {
        let at = self.sysfs.root.join(path);
        self.in_turn(path.to_owned(), at, move |at| fs::write(at, text)).await
    }

    /// Returns the path of a device on the host, if the name still belongs to it.
    fn verified(&self, device: &Device) -> Result<String, HostError> {
        let now = self.sysfs.number(&device.name);
        if now == Some(device.number) {
            return Ok(format!("/dev/{}", device.name));
        }
        let now = now.map_or("gone".to_owned(), |number| format!("device {number}"));
        Err(HostError::failed(format!(
            "{} is {now}, and device {} was meant",
            device.name, device.number
        )))
    }

    async fn probe(&self, device: &Device) -> Done {
        let path = self.verified(device)?;
        let size = self.sysfs.size(&device.name).unwrap_or_default();
        let number = device.number;
        let probe = move |at: &Path| device::probe(at, number, size);
        let content = self.files_at(Path::new(&path), probe).await?;
        Ok(Outcome::Content(content))
    }

    /// Asks a disk itself for its identity.
    async fn inquire(&self, disk: &str, address: ScsiAddress) -> Done {
        if self.sysfs.disk_at(address).as_deref() != Some(disk) {
            return Err(HostError::failed(format!("{disk} is no longer at {address}")));
        }
        let device = format!("--device=/dev/{disk}");
        let arguments = ["--page=0x83", "--whitelisted", &device];
        let printed = match self.run_checked(QUERY_TIMEOUT, "scsi_id", &arguments).await {
            Err(error) if error.kind == HostErrorKind::Missing => {
                return self.inquire_by_rescan(disk, address).await;
            }
            printed => printed?,
        };
        // An identifier of type 3 is an NAA name; sysfs writes it with a prefix.
        let naa = printed.out.lines().next().unwrap_or_default().trim().strip_prefix('3');
        let naa = naa.ok_or_else(|| HostError::failed(format!("{disk} has no NAA identifier")))?;
        Ok(Outcome::Identity(format!("naa.{}", naa.to_lowercase())))
    }

    /// Without udev's `scsi_id`, the kernel reads the identity again when the disk is rescanned.
    async fn inquire_by_rescan(&self, disk: &str, address: ScsiAddress) -> Done {
        self.write(&format!("class/scsi_device/{address}/device/rescan"), "1".to_owned()).await?;
        let wwid = super::word(self.sysfs.unit(address).join("wwid"));
        wwid.map(Outcome::Identity)
            .ok_or_else(|| HostError::failed(format!("{disk} at {address} reports no identity")))
    }

    async fn delete(&self, disk: &str, address: ScsiAddress) -> Done {
        match self.sysfs.disk_at(address) {
            None => return Ok(Outcome::Done),
            Some(name) if name == disk => {}
            Some(name) => {
                return Err(HostError::failed(format!("{name}, and not {disk}, is at {address}")));
            }
        }
        if self.has_multipathd() {
            // A path in no map is no error.
            let _ = self.run(QUERY_TIMEOUT, "multipathd", &["del", "path", disk]).await;
        }
        self.write(&format!("class/scsi_device/{address}/device/delete"), "1".to_owned()).await?;
        Ok(Outcome::Done)
    }

    /// multipathd answers `fail` with exit code 0 in older versions.
    async fn multipathd(&self, arguments: &[&str]) -> Result<(), HostError> {
        let printed = self.run_checked(QUERY_TIMEOUT, "multipathd", arguments).await?;
        let has_failed = printed.out.lines().any(|line| line.trim().starts_with("fail"));
        if has_failed {
            Err(printed.failed(&format!("multipathd {}", arguments.join(" "))))
        } else {
            Ok(())
        }
    }

    async fn multipath(&self, effect: &Effect) -> Done {
        match effect {
            Effect::CreateMap { wwid, disks } => {
                for disk in disks {
                    // With `find_multipaths`, a WWID has to be known before its first path counts.
                    let _ = self
                        .run(QUERY_TIMEOUT, "multipath", &["-a", &format!("/dev/{disk}")])
                        .await;
                    let _ = self.run(QUERY_TIMEOUT, "multipathd", &["add", "path", disk]).await;
                }
                self.multipathd(&["add", "map", wwid]).await?;
            }
            Effect::AddPath(disk) => self.multipathd(&["add", "path", disk]).await?,
            Effect::RemovePath(disk) => self.multipathd(&["del", "path", disk]).await?,
            Effect::ResizeMap(name) => self.multipathd(&["resize", "map", name]).await?,
            Effect::StopQueueing(name) => {
                self.multipathd(&["disablequeueing", "map", name]).await?;
            }
            Effect::ResumeMap(name) => {
                self.run_checked(QUERY_TIMEOUT, "dmsetup", &["resume", name]).await?;
            }
            Effect::FlushMap(name) => {
                self.run_checked(QUERY_TIMEOUT, "multipath", &["-f", name]).await?;
            }
            _ => {}
        }
        Ok(Outcome::Done)
    }

    async fn file_system(&self, effect: &Effect) -> Done {
        match effect {
            Effect::MakeFileSystem { device, fs_type, again } => {
                let path = self.verified(device)?;
                let (program, arguments) = arguments::mkfs_arguments(*fs_type, &path, *again);
                self.run_checked(FILE_SYSTEM_TIMEOUT, program, &arguments).await?;
                Ok(Outcome::Done)
            }
            Effect::CheckFileSystem { device, .. } => {
                let path = self.verified(device)?;
                let printed = self.run(FILE_SYSTEM_TIMEOUT, "fsck.ext4", &["-a", &path]).await?;
                let checked = arguments::checked(&printed);
                checked.map(Outcome::Checked).ok_or_else(|| printed.failed("fsck.ext4"))
            }
            Effect::ReadFileSystemSize { device, path, fs_type } => {
                let size = match fs_type {
                    FsType::Ext4 => {
                        let device = self.verified(device)?;
                        let printed =
                            self.run_checked(ARRAY_TIMEOUT, "dumpe2fs", &["-h", &device]).await?;
                        arguments::ext4_size(&printed.out)
                    }
                    FsType::Xfs => {
                        let printed = self
                            .run_checked(ARRAY_TIMEOUT, "xfs_growfs", &["-n", text(path)?])
                            .await?;
                        arguments::xfs_size(&printed.out)
                    }
                };
                let unknown =
                    || HostError::failed(format!("the size of {} is unknown", path.display()));
                size.map(Outcome::Size).ok_or_else(unknown)
            }
            Effect::ExpandFileSystem { device, path, fs_type } => {
                match fs_type {
                    FsType::Ext4 => {
                        let device = self.verified(device)?;
                        self.run_checked(FILE_SYSTEM_TIMEOUT, "resize2fs", &[&device]).await?;
                    }
                    FsType::Xfs => {
                        self.run_checked(FILE_SYSTEM_TIMEOUT, "xfs_growfs", &[text(path)?]).await?;
                    }
                }
                Ok(Outcome::Done)
            }
            _ => Ok(Outcome::Done),
        }
    }

    async fn mount(&self, effect: &Effect) -> Done {
        match effect {
            Effect::Mount { device, path, fs_type, options } => {
                let device = self.verified(device)?;
                let options = options.join(",");
                let mut arguments = vec!["-t", fs_type.word()];
                if !options.is_empty() {
                    arguments.extend(["-o", &options]);
                }
                arguments.extend([&device, text(path)?]);
                self.run_checked(ARRAY_TIMEOUT, "mount", &arguments).await?;
            }
            Effect::BindMount { source, path, read_only } => {
                let path = text(path)?;
                self.run_checked(ARRAY_TIMEOUT, "mount", &["--bind", text(source)?, path]).await?;
                if *read_only {
                    self.run_checked(ARRAY_TIMEOUT, "mount", &["-o", "remount,bind,ro", path])
                        .await?;
                }
            }
            Effect::BindDevice { device, path } => {
                let device = self.verified(device)?;
                self.run_checked(ARRAY_TIMEOUT, "mount", &["--bind", &device, text(path)?]).await?;
            }
            Effect::Unmount { path, lazy } => {
                let path = text(path)?;
                let arguments = if *lazy { vec!["-l", path] } else { vec![path] };
                let printed = self.run(ARRAY_TIMEOUT, "umount", &arguments).await?;
                if printed.code != 0 && !printed.error.contains("not mounted") {
                    return Err(printed.failed("umount"));
                }
            }
            _ => {}
        }
        Ok(Outcome::Done)
    }
}

/// Where the record of an initiator is, below the root of iscsid.
pub(super) const INITIATOR_NAMES: [&str; 2] =
    ["etc/iscsi/initiatorname.iscsi", "usr/local/etc/iscsi/initiatorname.iscsi"];

impl LinuxHost {
    /// The root folder of a process as this process sees it.
    pub(super) fn root_of(&self, pid: u32) -> PathBuf {
        if pid == 1 { self.root.clone() } else { self.proc.join(format!("{pid}/root")) }
    }
}
