"""Runs the tests: each in namespaces of its own, some at a time; then again with defects made on purpose.

    suite.py PSO_GEN_BINARY [PART-OF-A-TEST'S-NAME]

A test is a function `test_...(cluster)` in a file `test_*.py`; `@app` says for which rendered app.
"""

import concurrent.futures
import importlib
import os
import subprocess
import sys
import tempfile
import time

from cluster import ADDRESS, Cluster
from failure import Failure
from mutations import MUTATIONS
from rendered import HERE, render

SECONDS = 90


def tests():
    """Yields name and function of every test, in the order of the files."""
    for path in sorted(HERE.glob("test_*.py")):
        module = importlib.import_module(path.stem)
        for name, function in vars(module).items():
            if name.startswith("test_"):
                yield f"{path.stem[5:]}: {name[5:].replace('_', ' ')}", function


def run_one(binary, name, mutation, top):
    """Runs one test in this process, which the suite has put into namespaces."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "address", "add", f"{ADDRESS}/32", "dev", "lo"], check=True)
    # A file system of its own: the root of a container may not lie on what it is made of.
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", top], check=True)
    test = dict(tests())[name]
    change = (MUTATIONS[mutation].old, MUTATIONS[mutation].new) if mutation else None
    try:
        test(Cluster(render(binary, test.app, change), top))
    except Failure as failure:
        print(failure)
        return 1
    return 0


def isolated(binary, name, mutation=""):
    """Runs one test in namespaces, and returns its exit code and what it printed."""
    with tempfile.TemporaryDirectory(prefix="pso-apps-") as top:
        command = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
        command += [sys.executable, "-B", __file__, "--one", binary, name, mutation, top]
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        return done.returncode, done.stdout.strip()


def judge(binary, name, mutation=""):
    """Returns the line for a test, and the reason if it is not as it should be."""
    try:
        code, text = isolated(binary, name, mutation)
    except subprocess.TimeoutExpired:
        code, text = 1, f"it has not ended after {SECONDS} s"
    if not mutation:
        return name, "" if code == 0 else text
    line = f"sees a defect: {mutation}"
    reason = MUTATIONS[mutation].reason
    if code == 0:
        return line, f"the test {name!r} does not see it"
    if reason not in text:
        return line, f"the test {name!r} fails for another reason, wanted {reason!r}:\n{text}"
    return line, ""


def main(binary, part=""):
    """Runs all tests and mutations whose names have `part` in them."""
    began = time.monotonic()
    binary = os.path.abspath(binary)
    todo = [(name, "") for name, _ in tests() if part in name]
    todo += [(each.test, name) for name, each in MUTATIONS.items() if part in each.test]
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for line, reason in pool.map(lambda each: judge(binary, *each), todo):
            if reason:
                failed += 1
                print(f"FAILED {line}\n  {reason}".replace("\n", "\n  "), flush=True)
            else:
                print(f"ok {line}", flush=True)
    print(f"{len(todo)} tests, {failed} failed, {time.monotonic() - began:.0f} s", file=sys.stderr)
    return 1 if failed or not todo else 0


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments[:1] == ["--one"]:
        sys.exit(run_one(*arguments[1:]))
    if len(arguments) not in (1, 2):
        sys.exit(__doc__)
    sys.exit(main(*arguments))
