"""Programs for tests of one load beside another, each a process of its own so that they share no interpreter.

bulk.py sink PORT | send ADDRESS PORT STREAMS | echo PORT | probe ADDRESS PORT ROUND...
`probe` reads counts from standard input, makes so many 100-byte requests one after the other, and prints the microseconds
of each as a line of JSON."""
import contextlib
import json
import os
import pathlib
import selectors
import socket
import sys
import threading
import time

SIZE = 100


def favour(pid, nice):
    """Sets the nice value of a process that leads its session, all threads of it, and of its scheduling group."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        os.setpriority(os.PRIO_PROCESS, int(thread), nice)
    with contextlib.suppress(OSError):
        pathlib.Path(f"/proc/{pid}/autogroup").write_text(str(nice))


def listen(port):
    return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)


def each(port, serve):
    listener = listen(port)
    print("ready", flush=True)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


def discard(connection):
    # The kernel drops the bytes: a sink that costs next to nothing.
    while connection.recv(1 << 18, socket.MSG_TRUNC):
        pass


def echo(connection):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while data := connection.recv(65536):
        connection.sendall(data)


def send(address, port, streams):
    block = bytes(1 << 18)
    selector = selectors.DefaultSelector()
    for _ in range(streams):
        connection = socket.create_connection((address, port), 10)
        connection.setblocking(False)
        selector.register(connection, selectors.EVENT_WRITE)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            try:
                key.fileobj.send(block)
            except BlockingIOError:
                pass


def probe(address, port):
    connection = socket.create_connection((address, port), 10)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print("ready", flush=True)
    for line in sys.stdin:
        times = []
        for _ in range(int(line)):
            start = time.perf_counter_ns()
            connection.sendall(bytes(SIZE))
            left = SIZE
            while left:
                left -= len(connection.recv(left))
            times.append((time.perf_counter_ns() - start) // 1000)
            time.sleep(0.001)
        print(json.dumps(times), flush=True)


if __name__ == "__main__":
    # A machine with few CPUs would else measure its own scheduler: the load gives way, and who measures waits for nobody.
    if sys.argv[1] in ("send", "sink"):
        favour(os.getpid(), 19)
    else:
        with contextlib.suppress(PermissionError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    match sys.argv[1:]:
        case ["sink", port]:
            each(int(port), discard)
        case ["echo", port]:
            each(int(port), echo)
        case ["send", address, port, streams]:
            send(address, int(port), int(streams))
        case ["probe", address, port]:
            probe(address, int(port))
