"""Certificates that are renewed under load, run out, get other roots, and clocks that jump (reliability rows 42 to 45)."""
import contextlib
import datetime
import json
import os
import pathlib
import ssl
import subprocess
import threading
import time

import pytest
from cryptography import x509

from Netns.test_upgrade import Generation
from support.hbone import Client, client_context
from support.identities import PKI, authority_stage, file_stage, spiffe, start
from support.programs import program
from support.waiting import wait_for

pytestmark = pytest.mark.root

FAKETIME = pathlib.Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")


@pytest.fixture
def files(tmp_path):
    with file_stage(tmp_path) as mesh:
        yield mesh


@pytest.fixture
def embedded(tmp_path):
    with authority_stage(tmp_path) as mesh:
        yield mesh


@contextlib.contextmanager
def environment(**variables):
    """For the programs started within the block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def echo(connection, text):
    connection.sendall(text)
    data = b""
    while len(data) < len(text):
        chunk = connection.recv(65536)
        assert chunk, "the connection ended"
        data += chunk
    assert data == text


class Load:
    """Two threads: one keeps a connection talking, the other opens one connection after the other."""

    def __init__(self, mesh):
        self.mesh, self.failures, self.opened, self.exchanged = mesh, [], 0, 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._guard, args=(work,)) for work in (self._talk, self._open)]

    def _guard(self, work):
        while not self._stop.is_set():
            try:
                work()
            except (OSError, AssertionError) as error:
                self.failures.append(f"{work.__name__}: {error!r}")
                time.sleep(0.05)

    def _connect(self):
        return self.mesh.world.client.connect(self.mesh.world.server.ipv4, 7000)

    def _talk(self):
        with self._connect() as connection:
            while not self._stop.is_set():
                echo(connection, b"x" * 1000)
                self.exchanged += 1
                time.sleep(0.005)

    def _open(self):
        with self._connect() as connection:
            echo(connection, b"hello")
            self.opened += 1

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join(15)


def certs(daemon):
    return json.loads(daemon.ztun("certs", "-o", "json", check=False).stdout)


def state_of(daemon, account):
    return next(entry for entry in certs(daemon)["certificates"] if entry["identity"] == spiffe(account))


def presented_serial(mesh, context):
    """The serial number that a new handshake with the server's tunnel port shows."""
    raw = mesh.world.outsider.connect(mesh.world.server.ipv4, 15008)
    with context.wrap_socket(raw) as connection:
        return str(x509.load_der_x509_certificate(connection.getpeercert(True)).serial_number)


def anybody():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context


def test_row_42_many_lifetimes_under_load(embedded):
    """5-second certificates, several of them one after the other, and no connection fails."""
    mesh = embedded
    with environment(SECRET_TTL="5s"):
        start(mesh)
    wait_for(lambda: mesh.world.client.curl(f"http://{mesh.world.server.ipv4}:8080/").returncode == 0, "it works")
    serials = set()
    with Load(mesh) as load:
        end = time.monotonic() + 16
        while time.monotonic() < end:
            held = state_of(mesh.two, "server")
            assert held["state"] == "Available"
            serials.add(held["serialNumber"])
            # A handshake shows the newest at once; in between it may have been renewed once more.
            shown = presented_serial(mesh, anybody())
            wait_for(
                lambda: shown in serials or shown == state_of(mesh.two, "server")["serialNumber"],
                "new handshakes show the certificate of the status", 1)
            serials.add(shown)
    assert load.failures == []
    assert load.opened > 50 and load.exchanged > 100, "it was a load"
    assert len(serials) >= 5, "several lifetimes"


def test_a_bad_lifetime_is_refused_with_its_form(embedded):
    with environment(SECRET_TTL="soon"):
        daemon = embedded.start_ztund(embedded.first, embedded.world.first_pods, ready=False)
        wait_for(lambda: not daemon.alive(), "it ends")
    assert "SECRET_TTL" in daemon.text() and "24h" in daemon.text()


def test_row_43_expiry_fails_closed_and_recovers_without_restart(files):
    """Nobody renews the files; at the true end of life, not before, new tunnels are refused."""
    mesh = files
    start(mesh)
    lifetime = 9
    chain, key = mesh.pki.leaf("server", [spiffe("server")], end=lifetime / 3600)
    end = time.monotonic() + lifetime
    current = str(mesh.pki.issued["server"].serial_number)
    wait_for(lambda: state_of(mesh.two, "server")["serialNumber"] == current, "the short one is taken up")
    stranger = client_context_of(mesh)
    while time.monotonic() < end - 2:
        with contextlib.closing(Client(mesh.world.outsider.connect(mesh.world.server.ipv4, 15008), stranger).socket):
            pass
        time.sleep(0.2)
    assert state_of(mesh.two, "server")["state"] == "Available"
    wait_for(lambda: state_of(mesh.two, "server")["state"] == "Expired", "the status says so", 6)
    assert time.monotonic() > end - 1, "not before its time"
    assert any("Expired" in problem for problem in mesh.two.status()["problems"])
    assert mesh.two.ztun("certs", check=False).returncode == 1
    with pytest.raises((ssl.SSLError, OSError)):
        Client(mesh.world.outsider.connect(mesh.world.server.ipv4, 15008), stranger)
    mesh.two.wait_for_line("no valid certificate")
    mesh.pki.leaf("server", [spiffe("server")])
    wait_for(lambda: state_of(mesh.two, "server")["state"] == "Available", "it is back")
    wait_for(
        lambda: mesh.world.client.curl(f"http://{mesh.world.server.ipv4}:8080/", seconds=3).returncode == 0,
        "and serves")


def client_context_of(mesh):
    class Roots:
        certificate = mesh.roots

    return client_context(Roots, *mesh.pki.leaf("stranger", [spiffe("client")]))


def replace(path, data):
    temporary = path.with_suffix(".new")
    temporary.write_bytes(data)
    temporary.replace(path)


def test_row_44_root_overlap(files, tmp_path):
    """Old and new are both accepted inside the window only, and a connection lives through all of it."""
    mesh = files
    start(mesh)
    old, new = mesh.pki, PKI(tmp_path / "new", common_name="new root")
    with Load(mesh) as load:
        wait_for(lambda: load.opened > 5, "a load")
        # The window opens: both roots everywhere, before anybody presents a certificate of the new one.
        replace(mesh.roots, old.pem + new.pem)
        for daemon, account in ((mesh.one, "client"), (mesh.two, "server")):
            wait_for(lambda: len(state_of(daemon, account)["roots"]) == 2, "both roots are in force")
        # New leaves under the old names.
        for account in ("client", "denied", "server"):
            chain, key = new.leaf(account, [spiffe(account)])
            for source, kind in ((chain, "chain.pem"), (key, "key")):
                replace(old.folder / f"{account}.{kind}", pathlib.Path(source).read_bytes())
        current = str(new.issued["server"].serial_number)
        wait_for(lambda: state_of(mesh.two, "server")["serialNumber"] == current, "the new leaf")
        current = str(new.issued["client"].serial_number)
        wait_for(lambda: state_of(mesh.one, "client")["serialNumber"] == current, "the new leaf")
        for authority in (old, new):
            assert connects(mesh, authority), "inside the window both are welcome"
        # It closes.
        replace(mesh.roots, new.pem)
        wait_for(lambda: len(state_of(mesh.two, "server")["roots"]) == 1, "one root")
        wait_for(lambda: not connects(mesh, old), "the old authority is a stranger now", 3)
        assert connects(mesh, new)
    assert load.failures == [] and load.opened > 20


def test_a_replaced_generation_follows_certificates(files):
    """What an older ztund still carries lives on while its certificate is renewed there too. New handshakes are the newest's:
    it shows the new one, and the older one says in its log that it has it."""
    mesh = files
    start(mesh)
    old = mesh.two
    with mesh.world.client.connect(mesh.world.server.ipv4, 7000) as connection:
        connection.settimeout(10)
        echo(connection, b"before")
        new = Generation(mesh, mesh.second, mesh.world.second_pods, 2)
        # The second one's flags made the file anew; only what comes now is news to both.
        mesh.pki.leaf("server", [spiffe("server")])
        serial = str(mesh.pki.issued["server"].serial_number)
        for daemon in (old, new):
            daemon.wait_for_line("certificate for", f'serial="{serial}"', seconds=20)
        assert presented_serial(mesh, anybody()) == serial
        echo(connection, b"after")
        # And when nobody renews it, the older one says that as well, and holds what is open.
        mesh.pki.leaf("server", [spiffe("server")], end=5 / 3600)
        for daemon in (old, new):
            daemon.wait_for_line(f"no valid certificate for {spiffe('server')} any more", seconds=30)
        echo(connection, b"still")
    assert old.process.wait(20) == 0


def connects(mesh, authority):
    context = anybody()
    context.load_cert_chain(*authority.leaf("visitor", [spiffe("client")]))
    with contextlib.suppress(ssl.SSLError, OSError):
        with Client(mesh.world.outsider.connect(mesh.world.server.ipv4, 15008), context) as client:
            return client.connect(f"{mesh.world.server.ipv4}:7000")[0] == 200
    return False


@pytest.mark.skipif(not FAKETIME.exists(), reason="needs the package faketime")
@pytest.mark.parametrize("jump", ["+1d", "-1d"])
def test_row_45_the_wall_clock_jumps(files, tmp_path, jump):
    """What runs goes on, what is new works as long as certificates are valid, and nothing crashes."""
    mesh = files
    offset = tmp_path / "offset"
    offset.write_text("+0d")
    long_lived = mesh.pki.leaf
    mesh.pki.leaf = lambda name, uris=(), **more: long_lived(name, uris, **{"start": -40, "end": 40, **more})
    with environment(
            LD_PRELOAD=str(FAKETIME), FAKETIME_TIMESTAMP_FILE=str(offset), FAKETIME_NO_CACHE="1",
            DONT_FAKE_MONOTONIC="1", FAKETIME_DONT_FAKE_MONOTONIC="1", NO_FAKE_STAT="1"):
        start(mesh)
    with Load(mesh) as load, mesh.world.client.connect(mesh.world.server.ipv4, 7000) as quiet:
        echo(quiet, b"before")
        wait_for(lambda: load.opened > 5, "a load")
        before = load.opened
        replace(offset, jump.encode())
        for daemon in (mesh.one, mesh.two):
            wait_for(lambda: abs(skew(mesh, daemon)) > 80_000, "the daemon sees the other time")
        wait_for(lambda: load.opened > before + 20, "connections go on")
        echo(quiet, b"after")
        assert connects(mesh, mesh.pki), "a new handshake"
        replace(offset, b"+0d")
        wait_for(lambda: abs(skew(mesh, mesh.two)) < 100, "and back")
        before = load.opened
        wait_for(lambda: load.opened > before + 20, "connections go on")
        echo(quiet, b"at last")
    assert load.failures == []
    for daemon in (mesh.one, mesh.two):
        assert daemon.alive()
        began = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - began < 8, "the drain keeps its time"


@pytest.mark.skipif(not FAKETIME.exists(), reason="needs the package faketime")
def test_a_clock_that_differs_is_named(embedded):
    """The other node lives in tomorrow, and so do its certificates: this one says what is wrong and by how much."""
    mesh = embedded
    mesh.one = mesh.start_ztund(mesh.first, mesh.world.first_pods)
    with environment(
            LD_PRELOAD=str(FAKETIME), FAKETIME="+1d", DONT_FAKE_MONOTONIC="1", FAKETIME_DONT_FAKE_MONOTONIC="1",
            NO_FAKE_STAT="1"):
        mesh.two = mesh.start_ztund(mesh.second, mesh.world.second_pods)
    assert mesh.world.client.curl(f"http://{mesh.world.server.ipv4}:8080/", seconds=5).returncode != 0
    line = mesh.one.wait_for_line("compare the clocks of both hosts")
    assert 86_000 < int(line.split(" s from now")[0].rsplit(" ", 1)[1]) < 87_000
    assert "CLOCKS THAT DIFFER" in mesh.one.ztun("certs", check=False).stdout
    assert certs(mesh.one)["clockRefusals"]


def skew(mesh, daemon):
    """Seconds that the daemon's wall clock is off, as the time shows at which it says it loaded a new state."""
    before = daemon.status()["state"]["generation"]
    mesh.edits = getattr(mesh, "edits", 0) + 1
    replace(mesh.state_path, f"{mesh.state.text()}# {mesh.edits}\n".encode())
    state = wait_for(
        lambda: (state := daemon.status()["state"])["generation"] > before and state, "the state is still watched")
    loaded = datetime.datetime.fromisoformat(state["loadedAt"].replace("Z", "+00:00"))
    return (loaded - datetime.datetime.now(datetime.timezone.utc)).total_seconds()


def test_row_44_the_embedded_authority_rotates_under_load(embedded):
    """Row 44 with `ztund ca rotate`: no failed connection, and the old root is a stranger after its window."""
    mesh = embedded
    start(mesh)
    before = state_of(mesh.two, "server")["serialNumber"]
    with Load(mesh) as load:
        wait_for(lambda: load.opened > 5, "a load")
        result = subprocess.run(
            [program("ztund"), "ca", "rotate", "--ca-dir", mesh.ca_dir, "--overlap", "4s", "--settle", "3s"],
            capture_output=True, text=True, timeout=30)
        assert result.returncode == 0, result.stderr
        assert "signs now" in result.stdout
        for daemon, account in ((mesh.one, "client"), (mesh.two, "server")):
            wait_for(lambda: len(state_of(daemon, account)["roots"]) == 2, "inside the window both are accepted")
        wait_for(lambda: state_of(mesh.two, "server")["serialNumber"] != before, "a certificate of the new one")
        for daemon, account in ((mesh.one, "client"), (mesh.two, "server")):
            wait_for(lambda: len(state_of(daemon, account)["roots"]) == 1, "the window closes")
        seen = load.opened
        wait_for(lambda: load.opened > seen + 10, "and the load goes on")
    assert load.failures == []
