"""A stand-in for `kubectl`, for commands of a page: what they ask for happens in the test's cluster.

It knows the verbs that the pages use, and fails for every other one. `bash` runs the text of a page as it is; the program
`kubectl` that it finds passes its arguments and its standard input on to here.
"""

import base64
import copy
import json
import os
import socketserver
import subprocess
import threading

import yaml

from failure import Failure, expect
from services import start_service
from test_apache import start as start_web_server

CLIENT = """#!/usr/bin/python3
import json, os, socket, sys
wants = "-" in sys.argv or "-i" in sys.argv or "--patch-file=/dev/stdin" in sys.argv
server = socket.socket(socket.AF_UNIX)
server.connect(os.environ["KUBECTL_SOCKET"])
server.sendall(json.dumps({"words": sys.argv[1:], "input": sys.stdin.read() if wants else ""}).encode() + b"\\n")
answer = json.loads(server.makefile().readline())
sys.stdout.write(answer["text"])
sys.exit(answer["code"])
"""


class Kubectl:
    """What a reader of a page does to an app, whose web server, database and cache run."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.suspended = set()
        # Exit code and text of each job.
        self.jobs = {}
        self.web = None
        self.start_part("db")
        self.start_part("redis")
        self.start_web()

    def start_part(self, part):
        self.cluster.services[part] = start_service(self.cluster, part)

    def start_web(self):
        self.web = start_web_server(self.cluster, self.cluster.name)

    def stop(self, part):
        if part == "web":
            self.web.kill()
            self.web = None
        else:
            self.cluster.services.pop(part).stop()

    def run(self, script):
        """Runs a block of a page, and returns what it printed."""
        folder = self.cluster.folder()
        client, path = folder / "kubectl", folder / "socket"
        client.write_text(CLIENT)
        client.chmod(0o755)
        kubectl = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                asked = json.loads(self.rfile.readline())
                try:
                    code, text = kubectl.answer(asked["words"], asked["input"])
                except Failure as failure:
                    code, text = 1, f"{failure}\n"
                self.wfile.write(json.dumps({"code": code, "text": text}).encode() + b"\n")

        with socketserver.ThreadingUnixStreamServer(str(path), Handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            variables = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "KUBECTL_SOCKET": str(path)}
            done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], env=variables, text=True,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            server.shutdown()
        expect(done.returncode == 0, f"these commands of the page fail:\n{script}\nThey print:\n{done.stdout}")
        return done.stdout

    def answer(self, words, given):
        """Does what one command asks for. Returns an exit code and a text."""
        match words:
            case ["get", "secret", name, "-o", path]:
                key = path.removeprefix("jsonpath={.data.").removesuffix("}")
                return 0, base64.b64encode(self.cluster.secret(name, key).encode()).decode()
            case ["patch", "secret", name, "--patch-file=/dev/stdin"]:
                for key, value in json.loads(given)["stringData"].items():
                    self.cluster.secret(name, key)
                    self.cluster.secrets[name, key] = value
            case ["patch", cronjob, "-p", patch]:
                name = self.existing(cronjob)
                change = self.suspended.add if json.loads(patch)["spec"]["suspend"] else self.suspended.discard
                change(name)
            case ["scale", workload, count]:
                part = self.part(workload)
                if count == "--replicas=0":
                    self.stop(part)
                else:
                    self.start(part)
            case ["rollout", "restart", *workloads]:
                parts = [self.part(each) for each in workloads]
                for part in parts:
                    self.stop(part)
                for part in sorted(parts, key="web".__eq__):
                    self.start(part)
            case ["rollout", "status", workload, _]:
                part = self.part(workload)
                running = self.web if part == "web" else self.cluster.services[part]
                expect(running and running.is_running(), f"{workload} does not run")
            case ["wait", "--for=delete", "pod", "-l", _, _]:
                expect(self.web is None, "the web pod runs")
            case ["wait", "--for=condition=complete", job, _]:
                code, text = self.jobs[job.removeprefix("job/")]
                return code, text if code else ""
            case ["logs", job, *_] if job.startswith("job/"):
                return 0, self.jobs[job.removeprefix("job/")][1]
            case ["create", "job", name, source]:
                self.run_job(name, self.existing(source.removeprefix("--from=")), {})
            case ["create", "job", name, source, "--dry-run=client", "-o", "yaml"]:
                return 0, yaml.safe_dump({"job": name, "from": self.existing(source.removeprefix("--from="))})
            case ["set", "env", "--local", "-f", "-", setting, "-o", "yaml"]:
                key, value = setting.split("=", 1)
                return 0, yaml.safe_dump({**yaml.safe_load(given), "env": {key: value}})
            case ["create", "-f", "-"]:
                job = yaml.safe_load(given)
                self.run_job(job["job"], job["from"], job.get("env", {}))
            case ["exec", *rest] if "--" in rest:
                where, command = rest[: rest.index("--")], rest[rest.index("--") + 1 :]
                return self.execute(where, command, given)
            case _:
                raise Failure(f"no test knows the command kubectl {' '.join(words)}")
        return 0, ""

    def execute(self, where, command, given):
        """Runs a command in the container of a pod, `[-i] POD -c CONTAINER`."""
        *options, pod, _, container = where
        expect(pod in (f"{self.cluster.name}-db-0", f"deployment/{self.cluster.name}-web"), f"no test knows the pod {pod}")
        running = self.web if container == "web" else self.cluster.services[container]
        reads = {"input": given} if options == ["-i"] else {"stdin": subprocess.DEVNULL}
        ended = running.execute(command, **reads)
        return ended.code, ended.text

    def start(self, part):
        if part == "web":
            self.start_web()
        else:
            self.start_part(part)

    def run_job(self, name, cronjob, variables):
        """Runs a job of a CronJob to its end."""
        expect(name not in self.jobs, f"there is a job {name} already")
        pod = self.cluster.pod("CronJob", cronjob)
        pod.spec = copy.deepcopy(pod.spec)
        container = pod.spec["containers"][0]
        container["env"] = container.get("env", []) + [{"name": key, "value": value} for key, value in variables.items()]
        pod.steps()
        ended = pod.run(container["name"])
        self.jobs[name] = ended.code, ended.text

    def existing(self, cronjob):
        """Returns the name in `cronjob/NAME`, which must be rendered."""
        kind, name = cronjob.split("/")
        expect(kind == "cronjob", f"{cronjob} is no CronJob")
        self.cluster.rendered.get("CronJob", name)
        return name

    def part(self, workload):
        """Returns the component of `deployment/NAME` or `statefulset/NAME`, which must be rendered."""
        kind, name = workload.split("/")
        self.cluster.rendered.get({"deployment": "Deployment", "statefulset": "StatefulSet"}[kind], name)
        return name.removeprefix(f"{self.cluster.name}-")
