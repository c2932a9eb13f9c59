"""Stands for the data path of the simulated FlashBlade: a folder of its size for each file system, and its rules beside it."""

import json
import pathlib
import re
import subprocess
import threading
import urllib.request


class FileSystems:
    """Follows what the simulator reports, in a thread of its own, until `end`."""

    def __init__(self, simulated, folder):
        self.page = simulated["page"]
        self.folder = pathlib.Path(folder)
        self.known = {}
        self.error = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self):
        try:
            while not self._ended.wait(0.1):
                self.look()
        except Exception as error:
            self.error = error
            raise

    def look(self):
        """Makes what the simulator has come true."""
        with urllib.request.urlopen(f"{self.page}/state?most=1000000", timeout=30) as answer:
            arrays = json.load(answer)["arrays"]
        found = {each["name"]: each for array in arrays if array["kind"] == "FlashBlade"
                 for kind in array["contents"]["kinds"] if kind["kind"] == "file systems" for each in kind["objects"]}
        for name, system in found.items():
            if self.known.get(name) != system:
                self._serve(name, system, self.known.get(name))
        for name in set(self.known) - set(found):
            # Eradicated: what is mounted still keeps its data, as a name that is removed does.
            self._rules(name).unlink(missing_ok=True)
            subprocess.run(["umount", "--lazy", self.folder / name], check=True)
            (self.folder / name).rmdir()
        self.known = found

    def _rules(self, name):
        return self.folder / ".rules" / name

    def _serve(self, name, system, before):
        size = f"size={system['provisioned']}"
        if before is None:
            (self.folder / name).mkdir()
            # The root of a new file system belongs to root.
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"{size},mode=0755", name, self.folder / name], check=True)
        elif before["provisioned"] != system["provisioned"]:
            subprocess.run(["mount", "-o", f"remount,{size}", self.folder / name], check=True)
        if system["destroyed"]:
            self._rules(name).unlink(missing_ok=True)
            return
        nfs = system["nfs"]
        versions = [*(["3"] if nfs["v3_enabled"] else []), *(["4", "4.1"] if nfs["v4_1_enabled"] else [])]
        lines = [" ".join(versions), *re.findall(r"[^ ]+\([^)]*\)", nfs["rules"])]
        part = self.folder / ".rules" / ".part"
        part.write_text("\n".join(lines) + "\n")
        part.rename(self._rules(name))

    def path(self, name):
        """Returns the folder that stands for a file system."""
        return self.folder / name

    def end(self):
        self._ended.set()
        self._thread.join()
        for name in self.known:
            subprocess.run(["umount", "--lazy", self.folder / name], check=False)
