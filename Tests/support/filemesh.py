"""A mesh whose certificates come from files of one authority, so that peers of other make can take part."""
from .certificates import Authority
from .mesh import Mesh


class FileMesh(Mesh):
    """`leaf` makes the certificate of any identity; daemons get those of their pods."""

    def __init__(self, network, folder):
        super().__init__(network, folder)
        self.authority = Authority(self.folder / "certificates")
        self._leaves = {}

    def leaf(self, name, identity):
        """Files (chain, key) of an identity."""
        if name not in self._leaves:
            self._leaves[name] = self.authority.leaf(name, identity)
        return self._leaves[name]

    def identity_arguments(self, pods):
        arguments = ["--roots", self.authority.certificate]
        for pod in pods:
            chain, key = self.leaf(pod.name, pod.identity)
            arguments += ["--identity", f"{pod.identity}={chain},{key}"]
        return arguments
