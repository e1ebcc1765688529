"""Faults of the network between the nodes, as rules of our own on a node; gone with the block."""
import contextlib

_TABLE = "zt_fault"


@contextlib.contextmanager
def rules(node, *lines, counters=()):
    """Each line is a rule for what the node forwards, before anything else sees it."""
    text = f"table inet {_TABLE} {{\n" + "".join(f"  {counter}\n" for counter in counters)
    text += "  chain way { type filter hook forward priority -300; policy accept;\n"
    text += "".join(f"    {line}\n" for line in lines) + "  }\n}\n"
    node.run("nft", "-f", "-", input=text)
    try:
        yield
    finally:
        node.run("nft", "delete", "table", "inet", _TABLE)


@contextlib.contextmanager
def throttle(node, interface, rate):
    """A token bucket for what leaves by one interface of a node."""
    node.run("tc", "qdisc", "add", "dev", interface, "root", "tbf", "rate", rate, "burst", "16kb", "latency", "400ms")
    try:
        yield
    finally:
        node.run("tc", "qdisc", "del", "dev", interface, "root")
