"""CSI's messages on the wire, as far as kubelet and the sidecars send them: field numbers of the CSI specification 1.13.
<https://github.com/container-storage-interface/spec/blob/v1.13.0/csi.proto>
"""

TEXT, NUMBER, WORDS, TEXTS = "text", "number", "words", "texts"

MOUNT = {"fs_type": (1, TEXT), "mount_flags": (2, TEXTS)}
CAPABILITY = {"block": (1, {}), "mount": (2, MOUNT), "access_mode": (3, {"mode": (1, NUMBER)})}
RANGE = {"required_bytes": (1, NUMBER), "limit_bytes": (2, NUMBER)}
SOURCE = {"snapshot": (1, {"snapshot_id": (1, TEXT)}), "volume": (2, {"volume_id": (1, TEXT)})}
VOLUME = {"capacity_bytes": (1, NUMBER), "volume_id": (2, TEXT), "volume_context": (3, WORDS)}
USAGE = {"available": (1, NUMBER), "total": (2, NUMBER), "used": (3, NUMBER), "unit": (4, NUMBER)}

# Request and answer of each call. A list of one message is a repeated field.
CALLS = {
    "Controller/CreateVolume": (
        {"name": (1, TEXT), "capacity_range": (2, RANGE), "volume_capabilities": (3, [CAPABILITY]),
         "parameters": (4, WORDS), "volume_content_source": (6, SOURCE)},
        {"volume": (1, VOLUME)},
    ),
    "Controller/DeleteVolume": ({"volume_id": (1, TEXT)}, {}),
    "Controller/ControllerPublishVolume": (
        {"volume_id": (1, TEXT), "node_id": (2, TEXT), "volume_capability": (3, CAPABILITY), "readonly": (4, NUMBER),
         "volume_context": (6, WORDS)},
        {"publish_context": (1, WORDS)},
    ),
    "Controller/ControllerUnpublishVolume": ({"volume_id": (1, TEXT), "node_id": (2, TEXT)}, {}),
    "Controller/ControllerExpandVolume": (
        {"volume_id": (1, TEXT), "capacity_range": (2, RANGE), "volume_capability": (4, CAPABILITY)},
        {"capacity_bytes": (1, NUMBER), "node_expansion_required": (2, NUMBER)},
    ),
    "Controller/CreateSnapshot": (
        {"source_volume_id": (1, TEXT), "name": (2, TEXT)},
        {"snapshot": (1, {"snapshot_id": (2, TEXT)})},
    ),
    "Node/NodeStageVolume": (
        {"volume_id": (1, TEXT), "publish_context": (2, WORDS), "staging_target_path": (3, TEXT),
         "volume_capability": (4, CAPABILITY), "secrets": (5, WORDS), "volume_context": (6, WORDS)},
        {},
    ),
    "Node/NodeUnstageVolume": ({"volume_id": (1, TEXT), "staging_target_path": (2, TEXT)}, {}),
    "Node/NodePublishVolume": (
        {"volume_id": (1, TEXT), "publish_context": (2, WORDS), "staging_target_path": (3, TEXT), "target_path": (4, TEXT),
         "volume_capability": (5, CAPABILITY), "readonly": (6, NUMBER), "volume_context": (8, WORDS)},
        {},
    ),
    "Node/NodeUnpublishVolume": ({"volume_id": (1, TEXT), "target_path": (2, TEXT)}, {}),
    "Node/NodeGetVolumeStats": (
        {"volume_id": (1, TEXT), "volume_path": (2, TEXT), "staging_target_path": (3, TEXT)},
        {"usage": (1, [USAGE]), "volume_condition": (2, {"abnormal": (1, NUMBER), "message": (2, TEXT)})},
    ),
    "Node/NodeExpandVolume": (
        {"volume_id": (1, TEXT), "volume_path": (2, TEXT), "capacity_range": (3, RANGE), "staging_target_path": (4, TEXT),
         "volume_capability": (5, CAPABILITY)},
        {"capacity_bytes": (1, NUMBER)},
    ),
    "Node/NodeGetInfo": ({}, {"node_id": (1, TEXT), "max_volumes_per_node": (2, NUMBER)}),
}


def varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)


def sized(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def encode(shape, message):
    """Returns the bytes of a message."""
    out = b""
    for name, value in message.items():
        number, kind = shape[name]
        if kind == NUMBER:
            out += varint(number << 3) + varint(int(value))
        elif kind == TEXT:
            out += sized(number, value.encode())
        elif kind == TEXTS:
            out += b"".join(sized(number, each.encode()) for each in value)
        elif kind == WORDS:
            for key, word in value.items():
                out += sized(number, sized(1, key.encode()) + sized(2, word.encode()))
        elif isinstance(kind, list):
            out += b"".join(sized(number, encode(kind[0], each)) for each in value)
        else:
            out += sized(number, encode(kind, value))
    return out


def fields(data):
    """Yields number and value of each field: an integer, or bytes."""
    at = 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        key = number()
        if key & 7 == 0:
            yield key >> 3, number()
        else:
            size = number()
            yield key >> 3, data[at : at + size]
            at += size


def decode(shape, data):
    """Returns a message from its bytes, without the fields that the shape does not have."""
    message = {name: [] for name, (_, kind) in shape.items() if kind == TEXTS or isinstance(kind, list)}
    message |= {name: {} for name, (_, kind) in shape.items() if kind == WORDS}
    names = {number: (name, kind) for name, (number, kind) in shape.items()}
    for number, value in fields(data):
        if number not in names:
            continue
        name, kind = names[number]
        if kind == NUMBER:
            message[name] = value
        elif kind == TEXT:
            message[name] = value.decode()
        elif kind == TEXTS:
            message[name].append(value.decode())
        elif kind == WORDS:
            pair = dict(fields(value))
            message[name][pair.get(1, b"").decode()] = pair.get(2, b"").decode()
        elif isinstance(kind, list):
            message[name].append(decode(kind[0], value))
        else:
            message[name] = decode(kind, value)
    return message
