"""What becomes of a pod without ztund when its user asked that it fail open: a bit that policies overrule."""
import pytest

from support.sniffer import Sniffer
from support.waiting import wait_for

from .conftest import start_both
from .test_without_daemon import connect, wait_until_served

pytestmark = pytest.mark.root


def ask(daemon, pod, *more):
    return daemon.ztun("pod", "add", pod.enrolment, "--fail-open", *more).stdout


def wait_for_bit(daemon, pod, in_force, reason=""):
    def reached():
        found = daemon.pod_status(pod).get("failOpen") or {}
        assert found.get("inForce") == in_force and reason in found.get("reason", ""), found
        return True
    wait_for(reached, f"{pod.name} {'fails open' if in_force else 'stays closed'}", 20)


def say(mesh, pod, **more):
    """Gives the pod's workload other fields and writes the state."""
    workload = next(entry for entry in mesh.state.workloads if entry["name"] == pod.name)
    workload.update({"authorizationPolicies": [], **more})
    mesh.state.write(mesh.state_path)


def refusal(mesh):
    return {"error": "ECONNREFUSED" if mesh.mode == "nft" else "EPERM"}


@pytest.fixture(autouse=True)
def no_routes(request):
    """Routes that select bring everything back, and nobody would be there: bpf-route is always closed (docs/capture.md)."""
    if "bpf-route" in request.node.name:
        pytest.skip("bpf-route cannot fail open")


def test_only_a_pod_with_the_bit_talks_without_ztund(bare):
    mesh, world = bare, bare.world
    client, denied, plain, outsider = world.client, world.denied, world.plain, world.outsider
    start_both(mesh)
    wait_until_served(mesh)
    ask(mesh.one, client)
    if mesh.mode == "nft":
        wait_for_bit(mesh.one, client, False, "failing open takes bpf")
        assert "closed, although asked" in mesh.one.ztun("pod", "show", "default/client").stdout
        mesh.one.kill()
        assert connect(client, *plain.ips) == [refusal(mesh)] * 2, "nft is closed"
        return
    wait_for_bit(mesh.one, client, True)
    assert "fails open" in mesh.one.ztun("status", check=False).stdout
    with Sniffer(mesh.first.netns, denied.interface) as closed, Sniffer(mesh.first.netns, client.interface) as opened:
        # While ztund is there nothing is different.
        assert [answer.get("server") for answer in connect(client, *world.server.ips)] == ["server", "server"]
        mesh.one.kill()
        assert [answer.get("server") for answer in connect(client, *plain.ips)] == ["plain", "plain"]
        assert connect(denied, *plain.ips) == [refusal(mesh)] * 2
        # Inbound too: what nobody serves reaches the application, or nobody.
        assert [answer.get("server") for answer in connect(outsider, *client.ips)] == ["client", "client"]
        assert connect(outsider, denied.ipv4)[0] == {"error": "ECONNREFUSED"}
        before_end = {port for _, port in opened.opened_from(client.ips)}
        assert {port for _, port in closed.opened_from(denied.ips)} <= {15008}, "a pod without the bit in the clear"
    assert before_end == {8080}, "with ztund all went by the tunnel that was there"
    # The next one captures both, and knows of no bit that nobody asks it for.
    mesh.one = mesh.start_ztund(mesh.first, world.first_pods, *flags(mesh))
    wait_until_served(mesh)
    assert mesh.one.pod_status(client).get("failOpen") is None
    mesh.one.kill()
    assert connect(client, *plain.ips) == [refusal(mesh)] * 2


def flags(mesh):
    from .conftest import arguments
    return arguments(mesh, mesh.first)


def test_an_enforced_policy_overrules_the_bit_at_once(bare):
    """Class: a policy that holds only while a program runs."""
    mesh, world = bare, bare.world
    client, plain = world.client, world.plain
    if mesh.mode == "nft":
        pytest.skip("nft is always closed")
    # The state asks for it: the annotation of a pod comes by the same way.
    say(mesh, client, failOpen=True)
    start_both(mesh)
    wait_until_served(mesh)
    wait_for_bit(mesh.one, client, True)
    policy = mesh.state.policy("for-client", [{"namespaces": [{"Exact": "default"}]}])
    say(mesh, client, failOpen=True, authorizationPolicies=[policy])
    wait_for_bit(mesh.one, client, False, "policy default/for-client selects it")
    # Also in the hands of the next one.
    old = mesh.one
    mesh.one = mesh.start_ztund(mesh.first, world.first_pods, *flags(mesh), "--replace")
    wait_for(lambda: not old.alive(), "the old one has ended", 30)
    wait_for_bit(mesh.one, client, False, "policy default/for-client selects it")
    mesh.one.kill()
    assert connect(client, *plain.ips) == [refusal(mesh)] * 2
    mesh.one = mesh.start_ztund(mesh.first, world.first_pods, *flags(mesh))
    wait_until_served(mesh)
    say(mesh, client, failOpen=True)
    wait_for_bit(mesh.one, client, True)
    mesh.one.kill()
    assert connect(client, plain.ipv4)[0].get("server") == "plain"


def test_the_server_that_a_policy_protects_stays_closed(bare):
    mesh, server = bare, bare.world.server
    if mesh.mode == "nft":
        pytest.skip("nft is always closed")
    start_both(mesh)
    wait_until_served(mesh)
    ask(mesh.two, server)
    wait_for_bit(mesh.two, server, False, "policy default/deny-denied selects it")
    mesh.two.kill()
    assert connect(bare.world.outsider, server.ipv4)[0] == {"error": "ECONNREFUSED"}
    assert connect(server, bare.world.plain.ipv4)[0] == refusal(mesh)
