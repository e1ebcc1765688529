"""A Kubernetes API server that is none: plain HTTPS with lists, pages, watches and bookmarks, and every fault one can have.

Written from the API concepts of kubernetes.io alone; it shares nothing with the programs under test.
"""
import base64
import contextlib
import copy
import http.server
import json
import pathlib
import socket
import socketserver
import ssl
import subprocess
import threading
import time
import urllib.parse

from . import netns

#: plural: (group, versions, kind, namespaced)
KINDS = {
    "namespaces": ("", ["v1"], "Namespace", False),
    "nodes": ("", ["v1"], "Node", False),
    "pods": ("", ["v1"], "Pod", True),
    "services": ("", ["v1"], "Service", True),
    "configmaps": ("", ["v1"], "ConfigMap", True),
    "endpointslices": ("discovery.k8s.io", ["v1"], "EndpointSlice", True),
    "networkpolicies": ("networking.k8s.io", ["v1"], "NetworkPolicy", True),
    "gateways": ("gateway.networking.k8s.io", ["v1", "v1beta1"], "Gateway", True),
    "httproutes": ("gateway.networking.k8s.io", ["v1", "v1beta1"], "HTTPRoute", True),
    "serviceentries": ("networking.istio.io", ["v1", "v1beta1", "v1alpha3"], "ServiceEntry", True),
    "workloadentries": ("networking.istio.io", ["v1", "v1beta1", "v1alpha3"], "WorkloadEntry", True),
    "virtualservices": ("networking.istio.io", ["v1", "v1beta1", "v1alpha3"], "VirtualService", True),
    "authorizationpolicies": ("security.istio.io", ["v1", "v1beta1"], "AuthorizationPolicy", True),
    "peerauthentications": ("security.istio.io", ["v1", "v1beta1"], "PeerAuthentication", True),
}
PLURALS = {kind: plural for plural, (_, _, kind, _) in KINDS.items()}
BUILT_IN = {"", "discovery.k8s.io", "networking.k8s.io"}


class Fault:
    """What goes wrong with requests of one kind and verb, `times` times or until it is removed."""

    def __init__(self, plural="*", verb="*", times=None, **how):
        self.plural, self.verb, self.times, self.how = plural, verb, times, how
        self.hits = 0

    def fits(self, plural, verb):
        if self.times is not None and self.hits >= self.times:
            return False
        return self.plural in ("*", plural) and self.verb in ("*", verb)


class KubeAPI:
    """Objects with versions, served on any number of sockets."""

    def __init__(self, folder, names=("127.0.0.1",)):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.changed = threading.Condition(threading.RLock())
        self.version = 1000
        self.compacted = 0
        self.objects = {plural: {} for plural in KINDS}
        self.events = []
        self.pages = {}
        self.tokens = {"token-1"}
        self.served = set(KINDS)
        self.forbidden = set()
        self.faults = []
        self.requests = []
        self.patches = []
        self.watches = 0
        self.bookmark_seconds = 0.2
        self.servers = []
        self._connections = set()
        self._certificates(names)
        self.token_file = self.folder / "token"
        self.set_token("token-1")

    # -- objects

    def put(self, document):
        """Adds or replaces an object; equal ones stay as they are."""
        with self.changed:
            plural = PLURALS[document["kind"]]
            namespaced = KINDS[plural][3]
            document = copy.deepcopy(document)
            metadata = document["metadata"]
            if namespaced:
                metadata.setdefault("namespace", "default")
            key = (metadata.get("namespace", ""), metadata["name"])
            old = self.objects[plural].get(key)
            if old and self._bare(old) == self._bare(document):
                return
            self.version += 1
            metadata["resourceVersion"] = str(self.version)
            metadata["uid"] = f"uid-{plural}-{key[0]}-{key[1]}"
            metadata.setdefault("creationTimestamp", "2026-11-21T00:00:00Z")
            metadata["managedFields"] = [{"manager": "test", "fieldsV1": {"f:metadata": {"f:labels": {}}}}]
            self.objects[plural][key] = document
            self._event("MODIFIED" if old else "ADDED", plural, document)

    def delete(self, kind, name, namespace="default", silently=False):
        """`silently` sends no event: watchers only learn of it from the next list."""
        with self.changed:
            plural = PLURALS[kind]
            key = (namespace if KINDS[plural][3] else "", name)
            document = copy.deepcopy(self.objects[plural].pop(key))
            self.version += 1
            document["metadata"]["resourceVersion"] = str(self.version)
            if not silently:
                self._event("DELETED", plural, document)

    def sync(self, manifests):
        """Makes the objects those of a `Manifests`."""
        with self.changed:
            wanted = [document for documents in manifests.files.values() for document in documents]
            names = set()
            for document in wanted:
                self.put(document)
                plural = PLURALS[document["kind"]]
                namespace = document["metadata"].get("namespace", "default") if KINDS[plural][3] else ""
                names.add((plural, namespace, document["metadata"]["name"]))
            for plural, objects in self.objects.items():
                for namespace, name in list(objects):
                    if (plural, namespace, name) not in names:
                        self.delete(KINDS[plural][2], name, namespace)

    @staticmethod
    def _bare(document):
        bare = copy.deepcopy(document)
        for key in ("resourceVersion", "uid", "managedFields", "creationTimestamp"):
            bare["metadata"].pop(key, None)
        return bare

    def _event(self, type, plural, document):
        self.events.append((self.version, type, plural, copy.deepcopy(document)))
        self.changed.notify_all()

    def inject(self, plural, line):
        """Sends a line of its own to whoever watches the kind."""
        with self.changed:
            self.events.append((self.version, "RAW", plural, line))
            self.changed.notify_all()

    def compact(self):
        """Forgets all history: watches and pages from before answer 410."""
        with self.changed:
            self.version += 1
            self.compacted = self.version
            self.events = []
            self.pages = {}
            self.changed.notify_all()

    # -- faults

    @contextlib.contextmanager
    def fault(self, plural="*", verb="*", times=None, **how):
        fault = Fault(plural, verb, times, **how)
        with self.changed:
            self.faults.append(fault)
        try:
            yield fault
        finally:
            with self.changed:
                self.faults.remove(fault)
                self.changed.notify_all()

    def take_fault(self, plural, verb):
        """What goes wrong with a request: the fault that was injected last counts."""
        with self.changed:
            for fault in reversed(self.faults):
                if fault.fits(plural, verb):
                    fault.hits += 1
                    return fault.how
        return {}

    def drop_connections(self):
        """Ends every connection as a crash would."""
        with self.changed:
            for connection in list(self._connections):
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def set_token(self, token, only=False):
        """Writes the clients' token; with `only`, the server takes no other from now on."""
        new = self.token_file.with_suffix(".new")
        new.write_text(token + "\n")
        new.replace(self.token_file)
        self.tokens = {token} if only else self.tokens | {token}

    def count(self, plural, verb):
        with self.changed:
            return sum(1 for request in self.requests if request == (plural, verb))

    # -- serving

    def _certificates(self, names):
        ca, key = self.folder / "ca.crt", self.folder / "ca.key"
        leaf, leaf_key, request, extension = (self.folder / f"server.{kind}" for kind in ("crt", "key", "csr", "ext"))
        extension.write_text("subjectAltName=" + ",".join(
            ("IP:" if name.replace(".", "").isdigit() or ":" in name else "DNS:") + name for name in names))
        for command in (
            ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key],
            ["req", "-x509", "-new", "-key", key, "-days", "3", "-subj", "/CN=kubernetes", "-out", ca,
             "-addext", "basicConstraints=critical,CA:TRUE"],
            ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", leaf_key],
            ["req", "-new", "-key", leaf_key, "-subj", "/CN=kube-apiserver", "-out", request],
            ["x509", "-req", "-in", request, "-CA", ca, "-CAkey", key, "-CAcreateserial", "-days", "3",
             "-extfile", extension, "-out", leaf],
        ):
            result = subprocess.run(["openssl", *map(str, command)], capture_output=True, text=True)
            assert result.returncode == 0, result.stderr
        self.ca = ca
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(leaf, leaf_key)

    def listen(self, namespace=None, port=6443, host="127.0.0.1"):
        """Serves in a network namespace; returns the port."""
        with netns.inside(namespace) if namespace else contextlib.nullcontext():
            listener = socket.create_server((host, port))
        api = self

        class Handler(_Handler):
            state = api

        server = _Server(listener, Handler, self)
        self.servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return listener.getsockname()[1]

    def kubeconfig(self, port=6443, path=None, **user):
        """A kubeconfig file for it."""
        path = pathlib.Path(path or self.folder / "kubeconfig")
        path.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "clusters": [{"name": "test", "cluster": {
                "server": f"https://127.0.0.1:{port}",
                "certificate-authority-data": base64.b64encode(self.ca.read_bytes()).decode()}}],
            "users": [{"name": "test", "user": user or {"tokenFile": str(self.token_file)}}],
        }))
        return path

    def close(self):
        for server in self.servers:
            server.shutdown()
            server.server_close()
        self.servers = []
        self.drop_connections()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class _Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def __init__(self, listener, handler, api):
        super().__init__(listener.getsockname(), handler, bind_and_activate=False)
        self.socket.close()
        self.socket, self.api = listener, api

    def finish_request(self, request, address):
        # The handshake on the connection's own thread: a client that hangs holds up nobody.
        request.settimeout(20)
        try:
            connection = self.api.context.wrap_socket(request, server_side=True)
        except (OSError, ssl.SSLError):
            return
        with self.api.changed:
            self.api._connections.add(connection)
        try:
            connection.settimeout(600)
            super().finish_request(connection, address)
        finally:
            with self.api.changed:
                self.api._connections.discard(connection)
            with contextlib.suppress(OSError):
                connection.close()

    def handle_error(self, request, address):
        pass


class _Gone(Exception):
    """The connection is to end now."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state = None

    def log_message(self, *_):
        pass

    def do_GET(self):
        try:
            self._get()
        except (_Gone, OSError):
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    def _get(self):
        api = self.state
        url = urllib.parse.urlsplit(self.path)
        query = {key: values[0] for key, values in urllib.parse.parse_qs(url.query).items()}
        parts = [part for part in url.path.split("/") if part]
        group, rest = ("", parts[2:]) if parts[:1] == ["api"] else (parts[1] if len(parts) > 1 else "?", parts[3:])
        version = parts[1] if group == "" else parts[2] if len(parts) > 2 else "?"
        namespace = None
        if rest[:1] == ["namespaces"] and len(rest) >= 3:
            namespace, rest = rest[1], rest[2:]
        plural = rest[0] if rest else "?"
        name = rest[1] if len(rest) == 2 else None
        verb = "get" if name else "watch" if query.get("watch") in ("1", "true") else "list"
        with api.changed:
            api.requests.append((plural, verb))
        how = api.take_fault(plural, verb)
        if "slow" in how:
            time.sleep(how["slow"])
        if how.get("close"):
            raise _Gone
        if "status" in how:
            return self._status(how["status"], how.get("message", "injected"), how.get("retry_after"))
        if how.get("rubbish"):
            return self._body(200, b"<html>a proxy in between \xff\x00</html>", "text/html")
        authorization = self.headers.get("authorization", "")
        if authorization.removeprefix("Bearer ") not in api.tokens:
            return self._status(401, "Unauthorized")
        known = KINDS.get(plural)
        if not known or plural not in api.served or known[0] != group or version not in known[1]:
            return self._status(404, "the server could not find the requested resource")
        if plural in api.forbidden:
            return self._status(403, f'{plural} is forbidden: User "system:serviceaccount:ztun-system:ztund" cannot {verb}')
        if verb == "get":
            with api.changed:
                found = api.objects[plural].get((namespace or "", name))
                body = json.dumps(found).encode()
            return self._body(200, body) if found else self._status(404, f'{plural} "{name}" not found')
        if verb == "watch":
            return self._watch(plural, version, namespace, query, how)
        return self._list(plural, version, namespace, query, how)

    def _wanted(self, document, namespace, query):
        if namespace and document["metadata"].get("namespace") != namespace:
            return False
        field = query.get("fieldSelector", "")
        return not field or field == f"metadata.name={document['metadata']['name']}"

    def _list(self, plural, version, namespace, query, how):
        api = self.state
        group, _, kind, _ = KINDS[plural]
        with api.changed:
            token = query.get("continue")
            if token:
                page = api.pages.pop(token, None)
                if page is None:
                    return self._status(410, "the provided continue parameter is too old")
                current, items = page
            else:
                current = api.version
                items = [document for _, document in sorted(api.objects[plural].items())
                         if self._wanted(document, namespace, query)]
            limit = min(int(query.get("limit", 0)) or len(items) or 1, how.get("page", 10**9))
            now, later = items[:limit], items[limit:]
            metadata = {"resourceVersion": str(current)}
            if later:
                token = f"page+{len(api.requests)}/="
                api.pages[token] = (current, later)
                metadata["continue"] = token
                metadata["remainingItemCount"] = len(later)
            # Items of the built-in kinds do not say what they are.
            shown = [{key: value for key, value in item.items() if group not in BUILT_IN or key not in ("kind", "apiVersion")}
                     for item in now]
            api_version = f"{group}/{version}" if group else version
            body = json.dumps({
                "kind": how.get("kind", f"{kind}List"), "apiVersion": api_version, "metadata": metadata,
                "items": shown + how.get("more", [])}).encode()
        if "truncate" in how:
            body = body[: len(body) // 2]
        self._body(200, body)

    def _watch(self, plural, version, namespace, query, how):
        api = self.state
        group, _, kind, _ = KINDS[plural]
        api_version = f"{group}/{version}" if group else version
        since = int(query.get("resourceVersion") or 0)
        deadline = time.monotonic() + min(float(query.get("timeoutSeconds", 300)), how.get("seconds", 10**9))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with api.changed:
            api.watches += 1
            position = 0
            heard = len(api.events)
            sent = since
            if since < api.compacted:
                self._event("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"})
                return self._end()
        while True:
            with api.changed:
                events, position = list(enumerate(api.events))[position:], len(api.events)
                compacted = api.compacted > sent
            if compacted:
                self._event("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"})
                return self._end()
            for place, (number, type, event_plural, document) in events:
                if event_plural != plural:
                    continue
                if type == "RAW":
                    # Only for who was there.
                    if place >= heard:
                        self._chunk(document)
                    continue
                if number <= sent or not self._wanted(document, namespace, query):
                    continue
                sent = number
                document = {"kind": kind, "apiVersion": api_version,
                            **{key: value for key, value in document.items() if key not in ("kind", "apiVersion")}}
                if how.get("cut"):
                    line = json.dumps({"type": type, "object": document}).encode() + b"\n"
                    self._chunk(line[: len(line) // 2])
                    raise _Gone
                self._event(type, document)
                if how.get("twice"):
                    self._event(type, document)
            if time.monotonic() >= deadline:
                return self._end()
            with api.changed:
                if position == len(api.events) and api.compacted <= sent:
                    api.changed.wait(api.bookmark_seconds)
                idle = position == len(api.events) and api.compacted <= sent
                current = api.version
            if idle and query.get("allowWatchBookmarks") == "true" and not how.get("no_bookmarks"):
                if current > sent:
                    sent = current
                    self._event("BOOKMARK", {"kind": kind, "apiVersion": api_version,
                                             "metadata": {"resourceVersion": str(current)}})
            if how.get("close_after_start"):
                raise _Gone

    def do_PATCH(self):
        """Merge patches of `status`."""
        api = self.state
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))))
        parts = [part for part in urllib.parse.urlsplit(self.path).path.split("/") if part]
        if self.headers.get("authorization", "").removeprefix("Bearer ") not in api.tokens:
            return self._status(401, "Unauthorized")
        # apis/GROUP/VERSION/namespaces/NS/PLURAL/NAME/status
        try:
            _, _, _, _, namespace, plural, name, part = parts
        except ValueError:
            return self._status(404, "not found")
        with api.changed:
            api.patches.append((plural, namespace, name, self.headers.get("content-type"), body))
            how = api.take_fault(plural, "patch")
            if "status" in how:
                return self._status(how["status"], how.get("message", "injected"))
            found = api.objects.get(plural, {}).get((namespace, name))
            if found is None or part != "status":
                return self._status(404, "not found")
            version = body.get("metadata", {}).get("resourceVersion")
            if version not in (None, found["metadata"]["resourceVersion"]):
                return self._status(409, "the object has been modified")
            document = copy.deepcopy(found)
            document.setdefault("status", {}).update(body.get("status", {}))
            api.put(document)
            answer = json.dumps(api.objects[plural][(namespace, name)]).encode()
        self._body(200, answer)

    # -- answers

    def _status(self, code, message, retry_after=None):
        body = json.dumps({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}).encode()
        self._body(code, body, retry_after=retry_after)

    def _body(self, code, body, type="application/json", retry_after=None):
        self.send_response(code)
        self.send_header("Content-Type", type)
        self.send_header("Content-Length", str(len(body)))
        if retry_after is not None:
            self.send_header("Retry-After", str(retry_after))
        self.end_headers()
        self.wfile.write(body)

    def _event(self, type, document):
        self._chunk(json.dumps({"type": type, "object": document}).encode() + b"\n")

    def _chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def _end(self):
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()
