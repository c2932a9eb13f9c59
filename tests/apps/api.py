"""A stand-in for the Kubernetes API, written for these tests: it knows one Secret, to read and to merge into.

It demands the token of the pod's account, and allows what the rendered Role allows.
"""

import base64
import http.server
import json
import ssl
import subprocess
import threading

from cluster import ADDRESS

TOKEN = "header.tokenofthepod.signature"


class Api:
    """Listens where pods look for the API, and gives them an account for it."""

    def __init__(self, cluster, role, secret):
        self.rules = cluster.rendered.get("Role", role)["rules"]
        self.secret = cluster.rendered.get("Secret", secret)
        namespace = self.secret["metadata"]["namespace"]
        self.path = f"/api/v1/namespaces/{namespace}/secrets/{secret}"
        self.version = 41
        self.patches = 0
        # Two that read at once, so that both know the same version.
        self.meet = None
        self.lock = threading.Lock()
        account = {"namespace": namespace, "token": TOKEN}
        for name, text in account.items():
            (cluster.account / name).write_text(text)
        self._serve(cluster.account / "ca.crt", cluster.folder() / "key")

    def data(self):
        """Returns the values in the Secret."""
        encoded = self.secret.get("data", {})
        return {name: base64.b64decode(value).decode() for name, value in encoded.items()}

    def put(self, name, value):
        """Puts a value into the Secret, as somebody else would."""
        self.secret.setdefault("data", {})[name] = base64.b64encode(value.encode()).decode()

    def shown(self):
        """Returns the Secret as the API prints it for curl."""
        self.secret["metadata"]["resourceVersion"] = str(self.version)
        fields = {f"f:{name}": {} for name in self.secret.get("data", {})}
        self.secret["metadata"]["managedFields"] = [{"fieldsV1": {"f:data": fields}}]
        return json.dumps({"kind": "Secret", "apiVersion": "v1", **self.secret}, indent=2)

    def patched(self, patch):
        """Merges a patch, and returns the status of the answer."""
        with self.lock:
            version = patch.get("metadata", {}).get("resourceVersion")
            if version is not None and version != str(self.version):
                return 409
            self.secret.setdefault("data", {}).update(patch.get("data", {}))
            self.version += 1
            self.patches += 1
            return 200

    def status(self, verb, path, headers):
        """Returns the status for who may not, or may."""
        if headers["Authorization"] != f"Bearer {TOKEN}":
            return 401
        name = path.rsplit("/", 1)[-1]
        allowed = any(verb in r["verbs"] and name in r["resourceNames"] for r in self.rules)
        return 403 if not allowed else 200 if path == self.path else 404

    def _serve(self, certificate, key):
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        command += ["-nodes", "-keyout", key, "-out", certificate, "-subj", "/CN=api", "-days", "2"]
        command += ["-addext", "subjectAltName=DNS:kubernetes.default.svc"]
        subprocess.run(command, check=True, capture_output=True)
        api = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                status = api.status("get", self.path, self.headers)
                if api.meet:
                    api.meet.wait(10)
                self.answer(status, api.shown())

            def do_PATCH(self):
                status = api.status("patch", self.path, self.headers)
                patch = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.headers["Content-Type"] != "application/merge-patch+json":
                    status = 415
                self.answer(api.patched(patch) if status == 200 else status, api.shown())

            def answer(self, status, text):
                self.send_response(status)
                self.end_headers()
                self.wfile.write((text if status == 200 else '{"kind": "Status"}').encode())

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer((ADDRESS, 443), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
