"""Serves the volumes and file systems of the simulated arrays from a machine: the targets of its kernel follow what the
simulator reports. Knows nothing of nodes.
"""

import json
import ssl
import urllib.parse
import urllib.request

TARGET = "/sys/kernel/config/target"
NVMET = "/sys/kernel/config/nvmet"
IQN = "iqn.2010-06.com.purestorage:flasharray.00000065"
NQN = "nqn.2010-06.com.purestorage:flasharray.00000065"
TPG = f"{TARGET}/iscsi/{IQN}/tpgt_1"
PORTS = ("10.77.1.10", "10.77.2.10")
# Pure Storage's company id, and the names under which multipathd knows its devices.
COMPANY, VENDOR, PRODUCT = "0x24a937", "PURE", "FlashArray"


def nguid(serial):
    """Returns the identifier of a FlashArray's namespace, as OpenStack's driver derives it from the serial number.
    <https://github.com/openstack/cinder/blob/master/cinder/volume/drivers/pure.py>
    """
    serial = serial.lower()
    digits = f"00{serial[:14]}24a937{serial[14:]}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


class Array:
    """A machine that serves what the simulator has."""

    def __init__(self, machine, simulated):
        """Starts to serve what a simulator has, which is given by its description of itself."""
        self.machine, self.page = machine, simulated["page"]
        self.trust = ssl.create_default_context(cadata=simulated["certificate"])
        # The first array of each kind: its REST service, and a session there.
        self.rest_of = {each["kind"]: each for each in reversed(simulated["arrays"])}
        self.sessions = {}
        self.volumes, self.snapshots, self.connections = {}, set(), {}
        self.acls, self.nvme_hosts, self.exports = set(), set(), {}
        portals = "\n".join(f"mkdir {TPG}/np/{address}:3260" for address in PORTS)
        machine.shell(
            f"""
            mkdir -p {TPG} {TARGET}/core/iblock_0
            for name in authentication generate_node_acls demo_mode_write_protect; do echo 0 > {TPG}/attrib/$name; done
            {portals}
            echo 1 > {TPG}/enable
            mkdir {NVMET}/subsystems/{NQN}
            echo 0 > {NVMET}/subsystems/{NQN}/attr_allow_any_host
            """
        )
        for index, address in enumerate(PORTS, 1):
            port = f"{NVMET}/ports/{index}"
            machine.shell(
                f"""
                mkdir {port}
                echo tcp > {port}/addr_trtype; echo ipv4 > {port}/addr_adrfam
                echo {address} > {port}/addr_traddr; echo 4420 > {port}/addr_trsvcid
                ln -s {NVMET}/subsystems/{NQN} {port}/subsystems/{NQN}
                """
            )

    def state(self):
        """Returns the objects of all simulated arrays by kind."""
        with urllib.request.urlopen(f"{self.page}/state?most=1000000", timeout=30) as answer:
            arrays = json.load(answer)["arrays"]
        return {kind["kind"]: kind["objects"] for array in arrays for kind in array["contents"]["kinds"]
                if array["kind"] == "FlashArray" or kind["kind"] == "file systems"}

    def settle(self):
        """Makes what the simulator has come true: what the array's answer has promised."""
        state = self.state()
        hosts = {host["name"]: host for host in state["hosts"]}
        wanted = {}
        for each in state["connections"]:
            host = hosts[each["host"]["name"]]
            for iqn in host.get("iqns", []):
                wanted["iscsi", iqn, each["volume"]["id"]] = each["lun"]
            for nqn in host.get("nqns", []):
                wanted["nvme", nqn, each["volume"]["id"]] = each["nsid"]
        script = [self.disconnect(key) for key, number in list(self.connections.items()) if wanted.get(key) != number]
        script += [self.keep(each) for each in state["snapshots"] if each["id"] not in self.snapshots]
        script += [self.build(each) for each in state["volumes"] if each["id"] not in self.volumes]
        script += [self.resize(each) for each in state["volumes"]
                   if self.volumes[each["id"]]["provisioned"] != each["provisioned"]]
        script += [self.connect(key, number) for key, number in wanted.items() if key not in self.connections]
        script += [self.export(each) for each in state.get("file systems", []) if each["name"] not in self.exports]
        if script:
            self.machine.shell("\n".join(script))

    def keep(self, snapshot):
        self.snapshots.add(snapshot["id"])
        source = snapshot["source"]["id"]
        return f"cp --reflink=always /data/volumes/{source} /data/snapshots/{snapshot['id']}"

    def build(self, volume):
        """Returns the script that creates a volume: empty, or as a copy of its source."""
        self.volumes[volume["id"]] = volume
        path, source = f"/data/volumes/{volume['id']}", (volume.get("source") or {}).get("id")
        folder, lun = f"{TARGET}/core/iblock_0/{volume['serial']}", self.lun(volume["id"])
        copied = f"cp --reflink=always $(ls /data/volumes/{source} /data/snapshots/{source} 2> /dev/null) {path}\n" if source else ""
        return f"""{copied}
            truncate --size {volume['provisioned']} {path}
            device=$(losetup --find --show {path})
            ln -s $device /data/devices/{volume['id']}
            mkdir {folder}
            echo udev_path=$device > {folder}/control
            echo $device > {folder}/udev_path
            echo {VENDOR} > {folder}/wwn/vendor_id; echo {PRODUCT} > {folder}/wwn/product_id
            echo {COMPANY} > {folder}/wwn/company_id; echo 0{volume['serial'].lower()} > {folder}/wwn/vpd_unit_serial
            echo 1 > {folder}/enable
            echo 1 > {folder}/attrib/emulate_tpu
            mkdir {TPG}/lun/{lun}; ln -s {folder} {TPG}/lun/{lun}/volume
            """

    def lun(self, volume):
        """Returns the target's own number of a volume, which no host sees."""
        return f"lun_{int(self.volumes[volume]['serial'][-4:], 16)}"

    def resize(self, volume):
        self.volumes[volume["id"]] = volume
        path = f"/data/volumes/{volume['id']}"
        spaces = [str(number) for (kind, _, each), number in self.connections.items() if kind == "nvme" and each == volume["id"]]
        again = "".join(f"echo 1 > {NVMET}/subsystems/{NQN}/namespaces/{number}/revalidate_size\n" for number in spaces)
        return f"truncate --size {volume['provisioned']} {path}; losetup --set-capacity /data/devices/{volume['id']}\n{again}"

    def connect(self, key, number):
        kind, initiator, volume = key
        self.connections[key] = number
        if kind == "nvme":
            folder = f"{NVMET}/subsystems/{NQN}/namespaces/{number}"
            host = f"{NVMET}/hosts/{initiator}"
            allow = f"mkdir {host}; ln -s {host} {NVMET}/subsystems/{NQN}/allowed_hosts/{initiator}\n"
            if initiator in self.nvme_hosts:
                allow = ""
            self.nvme_hosts.add(initiator)
            return f"""{allow}
                mkdir {folder}
                readlink /data/devices/{volume} > {folder}/device_path
                echo {nguid(self.volumes[volume]['serial'])} > {folder}/device_nguid
                echo 00000000-0000-0000-0000-000000000000 > {folder}/device_uuid
                echo 1 > {folder}/enable
                """
        acl = "" if initiator in self.acls else f"mkdir {TPG}/acls/{initiator}\n"
        self.acls.add(initiator)
        folder = f"{TPG}/acls/{initiator}/lun_{number}"
        return f"{acl}mkdir {folder}; ln -s {TPG}/lun/{self.lun(volume)} {folder}/volume"

    def set_password(self, initiator, password):
        """Asks an initiator with a connection for a CHAP password, as its host on the array has it; without one, asks none."""
        self.machine.shell(
            f"""
            # The kernel takes a line's end for a part of the name.
            printf %s {initiator if password else 'NULL'} > {TPG}/acls/{initiator}/auth/userid
            printf %s {password or 'NULL'} > {TPG}/acls/{initiator}/auth/password
            echo {1 if password else 0} > {TPG}/attrib/authentication
            """
        )

    def disconnect(self, key):
        kind, initiator, _ = key
        number = self.connections.pop(key)
        if kind == "nvme":
            folder = f"{NVMET}/subsystems/{NQN}/namespaces/{number}"
            return f"echo 0 > {folder}/enable; rmdir {folder}"
        folder = f"{TPG}/acls/{initiator}/lun_{number}"
        return f"rm {folder}/volume; rmdir {folder}"

    def export(self, file_system):
        """Returns the script that exports a file system over NFS 4, under its name as a FlashBlade does."""
        start = "" if self.exports else "start-nfs\n"
        name = file_system["name"]
        self.exports[name] = file_system
        return f"""{start}
            mkdir -p /data/files/{name} /{name}
            mount --bind /data/files/{name} /{name}
            exportfs -i -o rw,no_root_squash,insecure,fsid={len(self.exports)} 10.77.0.0/16:/{name}
            """

    def rest(self, kind, method, path, body=None):
        """Sends a request to the REST service of an array, as an admin of the array does."""
        version, login = {"FlashArray": ("2.26", "api/2.26/login"), "FlashBlade": ("2.15", "api/login")}[kind]
        url, token = self.rest_of[kind]["url"], self.rest_of[kind]["token"]
        if kind not in self.sessions:
            request = urllib.request.Request(f"{url}/{login}", b"", {"api-token": token}, method="POST")
            with urllib.request.urlopen(request, timeout=30, context=self.trust) as answer:
                self.sessions[kind] = answer.headers["x-auth-token"]
        headers = {"Content-Type": "application/json", "x-auth-token": self.sessions[kind]}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{url}/api/{version}/{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30, context=self.trust) as answer:
            return json.load(answer)

    def create_files(self, name, size):
        """Creates a file system on the FlashBlade."""
        nfs = {"v4_1_enabled": True, "rules": "*(rw,no_root_squash)"}
        self.rest("FlashBlade", "POST", f"file-systems?names={name}", {"provisioned": size, "nfs": nfs})
        self.settle()

    def connect_at(self, volume, node, lun):
        """Connects a volume to a node's host with a given LUN."""
        of_node = {each["name"] for each in self.state()["hosts"] if node.iqn() in each.get("iqns", [])}
        name = self.volumes[volume.handle.split("/")[1]]["name"]
        query = urllib.parse.urlencode({"host_names": of_node.pop(), "volume_names": name})
        self.rest("FlashArray", "POST", f"connections?{query}", {"lun": lun})
        self.settle()

    def digest(self, volume):
        """Returns a digest of a volume's content as the array has it."""
        return self.machine.shell(f"sync; sha256sum /data/volumes/{volume.handle.split('/')[1]}", 300)
