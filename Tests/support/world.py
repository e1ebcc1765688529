"""The world that most tests share: who is where, and what the state file says of it."""
from .netns import Network
from .state import State

VIP, VIP6 = "10.96.61.1", "fd96:61::1"
PLAIN_VIP = "10.96.61.2"
WAYPOINT_VIP = "10.96.61.3"


class World:
    """client, denied and outsider on the first node; server, plain and waypoint on the second.

    outsider and plain are ordinary pods without the mesh. `denied` is in the mesh and may not call `server`.
    """

    def __init__(self, network):
        first, second = network.nodes
        self.client = first.pod("client", 10)
        self.denied = first.pod("denied", 11)
        self.outsider = first.pod("outsider", 12)
        self.server = second.pod("server", 10)
        self.plain = second.pod("plain", 11)
        self.waypoint = second.pod("waypoint", 20)

    @property
    def first_pods(self):
        return [self.client, self.denied]

    @property
    def second_pods(self):
        return [self.server]

    def state(self):
        """A fresh state; tests add to it before they write it."""
        state = State()
        host = "default/{}.default.svc.cluster.local".format
        policy = state.policy("deny-denied", [{"principals": [{"Exact": "cluster.local/ns/default/sa/denied"}]}])
        state.workload("client", self.client.ips, "n1")
        state.workload("denied", self.denied.ips, "n1")
        state.workload("outsider", self.outsider.ips, "n1", hbone=False)
        state.workload(
            "server", self.server.ips, "n2", authorizationPolicies=[policy],
            services={host("server"): {80: 8080, 9000: 9000, 9001: 9001}, host("through-waypoint"): {80: 8080}},
        )
        state.workload("plain", self.plain.ips, "n2", hbone=False, services={host("plain"): {80: 8080}})
        state.workload("waypoint", self.waypoint.ips, "n2")
        state.service("server", [VIP, VIP6], {80: 8080, 9000: 9000, 9001: 9001})
        state.service("plain", [PLAIN_VIP], {80: 8080})
        state.service(
            "through-waypoint", [WAYPOINT_VIP], {80: 8080},
            waypoint={"destination": f"/{self.waypoint.ipv4}", "hboneMtlsPort": 15008},
        )
        return state


def make_network():
    return Network("t")
