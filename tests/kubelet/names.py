"""Stands for the cluster's DNS server: the names of Services, as Kubernetes' specification of DNS says, for IPv4."""

import socket
import struct
import threading
import time


class Names:
    """Answers on UDP port 53 from what the API server has, in threads of its own."""

    def __init__(self, address, read):
        """`read` returns the lists of Services and of EndpointSlices."""
        self.read, self.table, self.error = read, {}, None
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 53))
        for target in (self._follow, self._answer):
            threading.Thread(target=target, daemon=True).start()

    def _follow(self):
        while True:
            try:
                self.look()
            except OSError as error:
                self.error = error
            time.sleep(0.3)

    def look(self):
        """Reads all names anew."""
        services, slices = self.read()
        table = {}
        for each in services:
            name = f"{each['metadata']['name']}.{each['metadata']['namespace']}.svc.cluster.local"
            own = each["spec"].get("clusterIP")
            table[name] = [] if own in (None, "None") else [own]
        for each in slices:
            service = each["metadata"]["labels"].get("kubernetes.io/service-name")
            base = f"{service}.{each['metadata']['namespace']}.svc.cluster.local"
            spec = next((one["spec"] for one in services if one["metadata"]["name"] == service
                         and one["metadata"]["namespace"] == each["metadata"]["namespace"]), {})
            if spec.get("clusterIP") != "None":
                continue
            for endpoint in each.get("endpoints") or []:
                if endpoint["conditions"].get("ready") or spec.get("publishNotReadyAddresses"):
                    table[base] += endpoint["addresses"]
                    if host := endpoint.get("hostname"):
                        table[f"{host}.{base}"] = endpoint["addresses"]
        self.table = table

    def _answer(self):
        while True:
            question, client = self.socket.recvfrom(4096)
            try:
                self.socket.sendto(self.reply(question), client)
            except (IndexError, struct.error, UnicodeDecodeError, OSError):
                continue

    def reply(self, question):
        """Returns the answer to a question: the addresses, none, or that there is no such name."""
        at, labels = 12, []
        while length := question[at]:
            labels.append(question[at + 1 : at + 1 + length].decode())
            at += 1 + length
        kind, _ = struct.unpack(">HH", question[at + 1 : at + 5])
        found = self.table.get(".".join(labels).lower())
        addresses = found if found and kind == 1 else []
        flags = 0x8580 | (0 if found is not None else 3)
        head = question[:2] + struct.pack(">HHHHH", flags, 1, len(addresses), 0, 0)
        # Seconds that a client may keep an answer: none, since names change within a test.
        records = b"".join(struct.pack(">HHHIH", 0xC00C, 1, 1, 0, 4) + socket.inet_aton(each) for each in addresses)
        return head + question[12 : at + 5] + records
