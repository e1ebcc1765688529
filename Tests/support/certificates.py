"""SPIFFE certificates made with the openssl program: a CA, leaves, and wrong ones for the negative tests."""
import pathlib
import subprocess


class Authority:
    """A certificate authority in a folder; leaves are P-256 with one URI SAN, as Istio's are."""

    def __init__(self, folder, name="ca", organization="cluster.local"):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.certificate = self.folder / f"{name}.pem"
        self.key = self.folder / f"{name}.key"
        self._run("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", self.key)
        self._run(
            "req", "-x509", "-new", "-key", self.key, "-days", "30", "-sha256", "-subj", f"/O={organization}",
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
            "-out", self.certificate,
        )

    def leaf(self, name, identity, days=7):
        """Files (chain, key) for `identity`, a URI such as spiffe://cluster.local/ns/x/sa/y."""
        key, request, chain = (self.folder / f"{name}.{kind}" for kind in ("key", "csr", "chain.pem"))
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(
            f"subjectAltName=critical,URI:{identity}\nkeyUsage=critical,digitalSignature\n"
            "extendedKeyUsage=serverAuth,clientAuth\nbasicConstraints=critical,CA:FALSE\n"
        )
        self._run("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
        self._run("req", "-new", "-key", key, "-subj", "/", "-out", request)
        self._run(
            "x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial",
            "-days", str(days), "-sha256", "-extfile", extensions, "-out", chain,
        )
        chain.write_text(chain.read_text() + self.certificate.read_text())
        return str(chain), str(key)

    @staticmethod
    def _run(*arguments):
        result = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
