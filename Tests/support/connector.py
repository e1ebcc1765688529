"""A pod's program that connects in many ways and prints what it saw, as JSON: one process for a whole table of cases.

    connector.py CASES     where CASES is a JSON list of {name, how, address, port, ...}
"""
import ctypes
import errno
import json
import select
import socket
import sys

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
IPPROTO_MPTCP = 262
SO_MARK = 36
SECONDS = 5


def make(case):
    v6 = ":" in case["address"]
    family = socket.AF_INET6 if v6 else socket.AF_INET
    how = case["how"]
    if how == "udp":
        return socket.socket(family, socket.SOCK_DGRAM)
    sock = socket.socket(family, socket.SOCK_STREAM, IPPROTO_MPTCP if how == "mptcp" else 0)
    sock.settimeout(SECONDS)
    if how == "device":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
    elif how == "bound":
        sock.bind((case["bind"], 0))
    elif how == "marked":
        sock.setsockopt(socket.SOL_SOCKET, SO_MARK, 0x99)
    elif how == "forged":
        sock.setsockopt(socket.SOL_SOCKET, SO_MARK, 0x539)
    return sock


def connect(sock, case):
    where = (case["address"], case["port"])
    if case["how"] == "nonblocking":
        sock.setblocking(False)
        first = sock.connect_ex(where)
        if first not in (0, errno.EINPROGRESS):
            raise OSError(first, "first connect")
        if not select.select([], [sock], [], SECONDS)[1]:
            raise TimeoutError("not writable")
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, "SO_ERROR")
        second = sock.connect_ex(where)
        sock.settimeout(SECONDS)
        return {"first": errno.errorcode.get(first, "0"), "second": errno.errorcode.get(second, "0")}
    if case["how"] == "fastopen":
        sock.setblocking(True)
        sock.sendto(REQUEST, socket.MSG_FASTOPEN, where)
        sock.settimeout(SECONDS)
        return {}
    if case["how"] == "reused":
        # The socket was somewhere else before: disconnected, it is connected again.
        sock.connect((case["first"], case["port"]))
        unspecified = bytes(32)
        if ctypes.CDLL(None).connect(sock.fileno(), unspecified, len(unspecified)) != 0:
            raise OSError(errno.EINVAL, "disconnect")
    sock.connect(where)
    return {}


def run(case):
    result = {}
    sock = make(case)
    try:
        result |= connect(sock, case)
        result["connected"] = True
        result["local"], result["remote"] = sock.getsockname()[:2], sock.getpeername()[:2]
        if case["how"] == "udp":
            return result
        if case["how"] != "fastopen":
            sock.sendall(REQUEST)
        answer = b""
        while block := sock.recv(65536):
            answer += block
        if b"\r\n\r\n" in answer:
            body = json.loads(answer.split(b"\r\n\r\n", 1)[1])
            result["server"], result["peer"] = body["server"], body["peer"]
    except OSError as error:
        result["error"] = errno.errorcode.get(error.errno, type(error).__name__)
    finally:
        sock.close()
    return result


if __name__ == "__main__":
    print(json.dumps({case["name"]: run(case) for case in json.loads(sys.argv[1])}))
