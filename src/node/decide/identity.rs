//! The names by which a kernel knows a volume of a FlashArray. All come from its serial number, and no device is
//! identified by anything else: neither by a link below `/dev/disk` nor by its LUN.

use crate::contract::BlockTransport;

/// Pure Storage's NAA prefix: type 6, its company id 24a937, and a zero.
/// <https://support.purestorage.com/bundle/m_linux/page/Solutions/Oracle/Oracle_on_FlashArray/library/common_content/c_flasharray_wwns.html>
const NAA: &str = "624a9370";
/// The prefix of the NGUID of a FlashArray's namespace, as in OpenStack's driver.
/// <https://github.com/openstack/cinder/blob/master/cinder/volume/drivers/pure.py>
const NGUID_COMPANY: &str = "24a937";

/// Returns what sysfs reports as `wwid` for a volume on a transport.
pub fn wwid(transport: BlockTransport, serial: &str) -> String {
    match transport {
        BlockTransport::NvmeTcp => nvme_wwid(serial),
        BlockTransport::Iscsi | BlockTransport::FibreChannel => {
            format!("naa.{NAA}{}", serial.to_ascii_lowercase())
        }
    }
}

/// Returns what sysfs reports as `wwid` for a volume's NVMe namespace.
pub fn nvme_wwid(serial: &str) -> String {
    let serial = serial.to_ascii_lowercase();
    let (first, last) = serial.split_at_checked(14).unwrap_or((&serial, ""));
    format!("eui.00{first}{NGUID_COMPANY}{last}")
}

/// Returns the WWID by which multipathd knows a volume.
pub fn map_wwid(serial: &str) -> String {
    format!("3{NAA}{}", serial.to_ascii_lowercase())
}

/// Returns the device-mapper UUID of a volume's multipath map.
pub fn map_uuid(serial: &str) -> String {
    format!("mpath-{}", map_wwid(serial))
}

/// Returns the serial number, in upper case, of the volume behind a `wwid` of sysfs or a UUID of a multipath map; none
/// if it is no volume of a FlashArray.
pub fn serial_of(identity: &str) -> Option<String> {
    let serial = if let Some(eui) = identity.strip_prefix("eui.00") {
        let (first, rest) = eui.split_at_checked(14)?;
        format!("{first}{}", rest.strip_prefix(NGUID_COMPANY)?)
    } else {
        let naa = identity.strip_prefix("naa.").or_else(|| identity.strip_prefix("mpath-3"))?;
        naa.strip_prefix(NAA)?.to_owned()
    };
    let is_serial = serial.len() == 24 && serial.chars().all(|c| c.is_ascii_hexdigit());
    is_serial.then(|| serial.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_comes_from_the_serial_and_leads_back_to_it() {
        let serial = "0123456789ABCDEF01234567";
        assert_eq!(wwid(BlockTransport::Iscsi, serial), "naa.624a93700123456789abcdef01234567");
        assert_eq!(map_uuid(serial), "mpath-3624a93700123456789abcdef01234567");
        assert_eq!(nvme_wwid(serial), "eui.000123456789abcd24a937ef01234567");
        for name in
            [wwid(BlockTransport::FibreChannel, serial), map_uuid(serial), nvme_wwid(serial)]
        {
            assert_eq!(serial_of(&name).as_deref(), Some(serial), "{name}");
        }
        for foreign in
            ["naa.600140500123456789abcdef01234567", "mpath-3624a9370", "t10.ATA", "eui.00"]
        {
            assert_eq!(serial_of(foreign), None, "{foreign}");
        }
    }
}
