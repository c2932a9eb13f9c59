"""T8: the step that fills the app's Secret, against a stand-in for the API, in the helper image's shell."""

import base64
import re
import threading

from api import TOKEN, Api
from app import app
from failure import expect, expect_equal

NAME = "nc-credentials"


def api_of(cluster):
    """Starts the API."""
    return Api(cluster, "nc-secrets", NAME)


def start(cluster):
    """Starts the rendered step in one more pod."""
    return cluster.pod("Job", "nc-secrets-").start("credentials", traced=True)


def lengths(cluster):
    """Returns the keys that are wanted, each with its length."""
    (container,) = cluster.rendered.pod("Job", "nc-secrets-")["containers"]
    words = (word.split("=") for word in container["args"])
    return {key: int(length) for key, length in words}


def expect_secretive(api, *steps):
    """Fails if the token or a value is among the arguments of a process, or was said."""
    values = [TOKEN, *api.data().values()]
    values += [base64.b64encode(value.encode()).decode() for value in values]
    for step in steps:
        arguments = step.arguments()
        expect(any("curl" in each for each in arguments), "the arguments of the processes were not seen")
        for value in values:
            seen = [each for each in arguments if value in each]
            expect(not seen, f"a secret is among the arguments: {seen}")
            expect(value not in step.text(), f"a secret was said:\n{step.text()}")


@app("nextcloud")
def test_fills_every_key(cluster):
    api = api_of(cluster)
    step = start(cluster)
    expect_equal(step.wait().code, 0, f"the exit code of the step, which said\n{step.text()}\nIt")
    seen = {key: len(value) for key, value in api.data().items()}
    expect_equal(seen, lengths(cluster), "the length of each value")
    for value in api.data().values():
        expect(re.fullmatch("[A-Za-z0-9]+", value), f"{value!r} is not only letters and digits")
    expect_equal(len(set(api.data().values())), len(api.data()), "the number of different values")
    expect_secretive(api, step)


@app("nextcloud")
def test_leaves_alone_what_is_there(cluster):
    api = api_of(cluster)
    api.put("db-password", "chosen by somebody")
    expect_equal(start(cluster).wait().code, 0, "the exit code of the first run")
    expect_equal(api.data()["db-password"], "chosen by somebody", "what was there")
    expect_equal(set(api.data()), set(lengths(cluster)), "the set of keys")
    before = api.data()
    step = start(cluster)
    expect_equal(step.wait().code, 0, "the exit code of the second run")
    expect_equal((api.data(), api.patches), (before, 1), "the Secret and the number of changes")
    expect_secretive(api, step)


@app("nextcloud")
def test_of_two_at_once_one_wins(cluster):
    api = api_of(cluster)
    api.meet = threading.Barrier(2)
    steps = [start(cluster), start(cluster)]
    codes = [step.wait().code for step in steps]
    expect_equal(sorted(code != 0 for code in codes), [False, True], f"who fails, of {codes},")
    api.meet = None
    before = api.data()
    expect_equal(start(cluster).wait().code, 0, "the exit code of the loser's next try")
    expect_equal((api.data(), api.patches), (before, 1), "the Secret and the number of changes")
    expect_secretive(api, *steps)


@app("nextcloud")
def test_says_nothing_secret_when_it_is_refused(cluster):
    api = api_of(cluster)
    (cluster.account / "token").write_text(f"{TOKEN}x")
    step = start(cluster)
    expect(step.wait().code != 0, f"it succeeds with a wrong token:\n{step.text()}")
    expect("401" in step.text(), f"it does not say why it fails:\n{step.text()}")
    expect_equal(api.data(), {}, "the Secret")
    expect_secretive(api, step)


@app("nextcloud")
def test_leaves_nothing_behind(cluster):
    api_of(cluster)
    pod = cluster.pod("Job", "nc-secrets-")
    pod.must("credentials")
    expect_equal(list(pod.mounted("credentials", "/tmp").iterdir()), [], "what is left in /tmp")
