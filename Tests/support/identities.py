"""Certificates of every kind, right and wrong, made with the cryptography package, and a mesh whose daemons use files."""
import contextlib
import datetime
import pathlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .mesh import Mesh
from .servers import EchoServer, HTTPServer, Server
from .world import World, make_network

BOTH = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)


def spiffe(account, domain="cluster.local"):
    return f"spiffe://{domain}/ns/default/sa/{account}"


def now():
    return datetime.datetime.now(datetime.timezone.utc)


def hours(count):
    return datetime.timedelta(hours=count)


def usage(*allowed):
    names = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{name: name in allowed for name in names})


class PKI:
    """An authority in a folder; everything about a leaf can be chosen, also what no honest authority signs."""

    def __init__(
        self, folder, name="ca", issuer=None, common_name="test root", *, authority=True, path_length=None,
        key_usage=("key_cert_sign", "crl_sign"),
    ):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.name, self.issuer = name, issuer
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        parent = issuer or self
        builder = (
            x509.CertificateBuilder().subject_name(self.subject).issuer_name(parent.subject)
            .public_key(self.key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now() - hours(48)).not_valid_after(now() + hours(480))
            .add_extension(x509.BasicConstraints(authority, path_length), True)
            .add_extension(usage(*key_usage), True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), False))
        self.certificate = builder.sign(parent.key, hashes.SHA256())
        self.path = self.write(f"{name}.pem", self.pem)
        self.issued = {}

    @classmethod
    def embedded(cls, folder, directory):
        """Signs with the embedded authority in `directory`."""
        pki = cls.__new__(cls)
        pki.folder, pki.issuer, pki.issued = pathlib.Path(folder), None, {}
        pki.key = serialization.load_pem_private_key((directory / "ca.key").read_bytes(), None)
        pki.certificate = x509.load_pem_x509_certificate((directory / "ca.crt").read_bytes())
        pki.subject = pki.certificate.subject
        return pki

    @property
    def pem(self):
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def write(self, name, data):
        """Replaces a file in one step, as an editor or Kubernetes would."""
        path = self.folder / name
        temporary = self.folder / f".{name}.new"
        temporary.write_bytes(data)
        temporary.replace(path)
        return path

    def leaf(
        self, name, uris=(), *, start=-1.0, end=24.0, authority=False, eku=BOTH, key_usage=("digital_signature",),
        others=(), common_name=None, self_signed=False, key=None,
    ):
        """Files (chain, key) of a leaf; `start` and `end` are hours from now."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else [])
        builder = (
            x509.CertificateBuilder().subject_name(subject)
            .issuer_name(subject if self_signed else self.subject)
            .public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now() + hours(start)).not_valid_after(now() + hours(end))
            .add_extension(x509.BasicConstraints(authority, None), True))
        names = [x509.UniformResourceIdentifier._init_without_validation(uri) for uri in uris] + list(others)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), not common_name)
        if key_usage is not None:
            builder = builder.add_extension(usage(*key_usage), True)
        if eku:
            builder = builder.add_extension(x509.ExtendedKeyUsage(eku), False)
        certificate = builder.sign(key if self_signed else self.key, hashes.SHA256())
        self.issued[name] = certificate
        chain = certificate.public_bytes(serialization.Encoding.PEM)
        above = self
        while above.issuer:
            chain += above.pem
            above = above.issuer
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        self.write(f"{name}.key", secret)
        return str(self.write(f"{name}.chain.pem", chain)), str(self.folder / f"{name}.key")

    def revocations(self, *certificates, next_update=24):
        """A revocation list, PEM."""
        builder = (
            x509.CertificateRevocationListBuilder().issuer_name(self.subject)
            .last_update(now() - hours(240)).next_update(now() + hours(next_update)))
        for certificate in certificates:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(certificate.serial_number)
                .revocation_date(now() - hours(1)).build())
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


class FileMesh(Mesh):
    """Daemons with certificates from files of one PKI, which the test can replace."""

    def __init__(self, network, folder):
        super().__init__(network, folder)
        self.pki = PKI(self.folder / "pki")
        self.roots = self.folder / "roots.pem"
        self.roots.write_bytes(self.pki.pem)

    def identity_arguments(self, pods):
        arguments = ["--roots", self.roots]
        for pod in pods:
            chain, key = self.pki.leaf(pod.name, [spiffe(pod.name)])
            arguments += ["--identity", f"{spiffe(pod.name)}={chain},{key}"]
        return arguments


class CountingServer(Server):
    """Counts what reaches the application at all."""

    bytes_seen = 0

    def serve(self, connection, _):
        while data := connection.recv(65536):
            self.bytes_seen += len(data)


@contextlib.contextmanager
def file_stage(folder):
    """Network, pods, state and applications; daemons with certificate files are left to the caller."""
    with make_network() as network, FileMesh(network, folder) as mesh:
        prepare(mesh)
        yield mesh


@contextlib.contextmanager
def authority_stage(folder):
    """The same with the embedded authority."""
    with make_network() as network, Mesh(network, folder) as mesh:
        prepare(mesh)
        yield mesh


def prepare(mesh):
    mesh.world = World(mesh.network)
    mesh.state = mesh.world.state()
    mesh.state.write(mesh.state_path)
    mesh.use(HTTPServer(mesh.world.server, 8080))
    mesh.echo = mesh.use(EchoServer(mesh.world.server, 7000))
    mesh.counter = mesh.use(CountingServer(mesh.world.server, 7001))


def start(mesh, *arguments):
    mesh.one = mesh.start_ztund(mesh.first, mesh.world.first_pods, *arguments)
    mesh.two = mesh.start_ztund(mesh.second, mesh.world.second_pods, *arguments)
