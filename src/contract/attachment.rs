//! The data that the attacher passes to the node service for one attached volume. CSI calls it the publish context; Kubernetes
//! stores it in `status.attachmentMetadata` of the VolumeAttachment. Knows neither arrays nor devices.

use std::collections::BTreeMap;

/// How a node reaches the volumes of a FlashArray.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlockTransport {
    /// iSCSI over TCP.
    Iscsi,
    /// NVMe over TCP.
    NvmeTcp,
    /// SCSI over Fibre Channel.
    FibreChannel,
}

impl BlockTransport {
    /// All transports; the node service prefers the first that array and node share.
    pub const ALL: [Self; 3] = [Self::NvmeTcp, Self::FibreChannel, Self::Iscsi];

    /// Returns its name in documents and in the publish context.
    pub fn word(self) -> &'static str {
        match self {
            Self::Iscsi => "iscsi",
            Self::NvmeTcp => "nvme-tcp",
            Self::FibreChannel => "fc",
        }
    }

    /// Returns the transport of a name.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|transport| transport.word() == word)
    }
}

/// One attached volume, as the node service needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The transport of the connection.
    pub transport: BlockTransport,
    /// The array's name on that transport: IQN for iSCSI, NQN of the subsystem for NVMe/TCP, empty for Fibre Channel.
    pub target: String,
    /// The array's ports: `address:port` for iSCSI and NVMe/TCP, WWPNs of 16 lower-case hexadecimal digits for
    /// Fibre Channel. Sorted; at least one.
    pub portals: Vec<String>,
    /// The logical unit number of the volume for this host; the namespace id for NVMe/TCP.
    pub lun: u32,
    /// The volume's serial number on the array: 24 upper-case hexadecimal digits. The identity of every device is
    /// compared with it.
    pub serial: String,
    /// The volume's size in bytes when it was attached. It may have grown since.
    pub size: u64,
    /// Whether the record says that nothing has ever formatted this volume. Only then may the node service format it.
    pub never_formatted: bool,
}

/// The reason why a publish context cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the publish context has no valid {0:?}")]
pub struct InvalidAttachment(pub &'static str);

const TRANSPORT: &str = "transport";
const TARGET: &str = "target";
const PORTALS: &str = "portals";
const LUN: &str = "lun";
const SERIAL: &str = "serial";
const SIZE: &str = "size";
const FORMAT: &str = "format";

/// The value of `format` for a volume that may be formatted.
const NEVER_FORMATTED: &str = "never-formatted";
/// The value of `format` for every other volume.
const FORMATTED: &str = "formatted";

impl Attachment {
    /// Returns the publish context.
    pub fn to_context(&self) -> BTreeMap<String, String> {
        let format = if self.never_formatted { NEVER_FORMATTED } else { FORMATTED };
        let entries = [
            (TRANSPORT, self.transport.word().to_owned()),
            (TARGET, self.target.clone()),
            (PORTALS, self.portals.join(",")),
            (LUN, self.lun.to_string()),
            (SERIAL, self.serial.clone()),
            (SIZE, self.size.to_string()),
            (FORMAT, format.to_owned()),
        ];
        entries.map(|(key, value)| (key.to_owned(), value)).into()
    }

    /// Returns whether a publish context allows a node to format the volume.
    pub fn allows_formatting(context: &BTreeMap<String, String>) -> bool {
        context.get(FORMAT).is_some_and(|word| word == NEVER_FORMATTED)
    }

    /// Changes a publish context so that no node formats the volume.
    pub fn forbid_formatting(context: &mut BTreeMap<String, String>) {
        context.insert(FORMAT.to_owned(), FORMATTED.to_owned());
    }

    /// Parses a publish context. A missing or unknown `format` means that the volume must not be formatted.
    pub fn from_context(context: &BTreeMap<String, String>) -> Result<Self, InvalidAttachment> {
        let word =
            |key: &'static str| context.get(key).map(String::as_str).ok_or(InvalidAttachment(key));
        let transport =
            BlockTransport::parse(word(TRANSPORT)?).ok_or(InvalidAttachment(TRANSPORT))?;
        let serial = word(SERIAL)?.to_ascii_uppercase();
        if serial.len() != 24 || !serial.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err(InvalidAttachment(SERIAL));
        }
        let mut portals: Vec<String> =
            word(PORTALS)?.split(',').filter(|each| !each.is_empty()).map(str::to_owned).collect();
        portals.sort();
        portals.dedup();
        if portals.is_empty() {
            return Err(InvalidAttachment(PORTALS));
        }
        let target = word(TARGET)?.to_owned();
        if target.is_empty() && transport != BlockTransport::FibreChannel {
            return Err(InvalidAttachment(TARGET));
        }
        Ok(Self {
            transport,
            target,
            portals,
            lun: word(LUN)?.parse().map_err(|_| InvalidAttachment(LUN))?,
            serial,
            size: word(SIZE)?.parse().map_err(|_| InvalidAttachment(SIZE))?,
            never_formatted: Self::allows_formatting(context),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attachment() -> Attachment {
        Attachment {
            transport: BlockTransport::Iscsi,
            target: "iqn.2010-06.com.purestorage:flasharray.1".to_owned(),
            portals: vec!["10.0.0.1:3260".to_owned(), "[fd00::1]:3260".to_owned()],
            lun: 7,
            serial: "0123456789ABCDEF01234567".to_owned(),
            size: 1 << 30,
            never_formatted: true,
        }
    }

    #[test]
    fn a_context_is_read_as_it_was_written() {
        for never_formatted in [true, false] {
            let attachment = Attachment { never_formatted, ..attachment() };
            assert_eq!(Attachment::from_context(&attachment.to_context()), Ok(attachment));
        }
    }

    #[test]
    fn an_unknown_record_forbids_formatting() {
        for value in [None, Some("true"), Some("")] {
            let mut context = attachment().to_context();
            context.remove(FORMAT);
            context.extend(value.map(|value| (FORMAT.to_owned(), value.to_owned())));
            let read = Attachment::from_context(&context).expect("valid");
            assert!(!read.never_formatted, "{value:?}");
        }
    }

    #[test]
    fn a_damaged_context_is_an_error() {
        for (key, value) in [
            (TRANSPORT, "nfs"),
            (TARGET, ""),
            (PORTALS, ""),
            (LUN, "-1"),
            (SERIAL, "0123"),
            (SIZE, "1Gi"),
        ] {
            let mut context = attachment().to_context();
            context.insert(key.to_owned(), value.to_owned());
            assert_eq!(Attachment::from_context(&context), Err(InvalidAttachment(key)));
            context.remove(key);
            assert_eq!(Attachment::from_context(&context), Err(InvalidAttachment(key)));
        }
    }
}
