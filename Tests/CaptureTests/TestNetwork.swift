import Capture
import EventLoop
import Glibc
import MeshModel
import Testing

/// Whether namespaces can be made here; without it the tests below say that they were skipped. Continuous integration sets
/// `ZTUN_REQUIRE_ROOT=1`: there they fail instead.
let canMakeNamespaces = geteuid() == 0 || getenv("ZTUN_REQUIRE_ROOT").map { String(cString: $0) } == "1"

/// A pod and a client in network namespaces of their own, joined by one veth pair; removed with this object.
final class TestNetwork {
    static let podV4 = IPAddress(v4: 0x0a4d_0002)
    static let clientV4 = IPAddress(v4: 0x0a4d_0001)
    static let podV6 = IPAddress(high: 0xfd77_0000_0000_0000, low: 2)
    static let clientV6 = IPAddress(high: 0xfd77_0000_0000_0000, low: 1)

    let podName: String
    let clientName: String
    var podPath: String { "/run/netns/\(podName)" }
    var location: PodLocation { PodLocation(namespace: "default", name: "a", path: podPath) }

    init(_ label: String) throws {
        podName = "zt-capture-\(getpid())-\(label)-p"
        clientName = "zt-capture-\(getpid())-\(label)-c"
        try addPod()
    }

    deinit {
        _ = shell("ip netns del \(podName) 2>/dev/null; ip netns del \(clientName) 2>/dev/null")
    }

    /// Makes both namespaces, anew if they are there.
    func addPod() throws {
        let (p, c) = (podName, clientName)
        let script = """
            ip netns del \(p) 2>/dev/null; ip netns del \(c) 2>/dev/null
            set -e
            ip netns add \(p); ip netns add \(c)
            ip -n \(p) link set lo up; ip -n \(c) link set lo up
            ip -n \(c) link add eth0 type veth peer name eth0 netns \(p)
            for n in \(p) \(c); do ip -n $n link set eth0 addrgenmode none; ip -n $n link set eth0 up; done
            ip -n \(p) addr add 10.77.0.2/24 dev eth0; ip -n \(p) addr add fd77::2/64 dev eth0 nodad
            ip -n \(c) addr add 10.77.0.1/24 dev eth0; ip -n \(c) addr add fd77::1/64 dev eth0 nodad
            ip -n \(p) route add default via 10.77.0.1; ip -n \(p) -6 route add default via fd77::1
            """
        let result = shell(script)
        try #require(result.status == 0, "\(result.output)")
    }

    func pod() throws -> NetworkNamespace { try NetworkNamespace(path: podPath) }
    func client() throws -> NetworkNamespace { try NetworkNamespace(path: "/run/netns/\(clientName)") }

    /// Runs shell commands inside the pod's namespace.
    @discardableResult
    func inPod(_ command: String) -> String {
        shell("ip netns exec \(podName) sh -c '\(command)'").output
    }

    /// Everything that capture could have left in the pod, as text; compare two moments.
    var traces: String {
        inPod(
            """
            nft list ruleset; ip rule; ip -6 rule; ip route show table 15008 2>/dev/null; ip -6 route show table 15008 2>/dev/null;
            cat /proc/sys/net/ipv4/tcp_migrate_req /proc/sys/net/ipv4/tcp_fwmark_accept /proc/sys/net/netfilter/nf_conntrack_tcp_*l*; ss -Htlno | sort
            """)
    }

    /// Puts the settings that capture changes back to the kernel's defaults.
    func resetSettings() {
        inPod(
            """
            echo 0 > /proc/sys/net/ipv4/tcp_migrate_req; echo 0 > /proc/sys/net/ipv4/tcp_fwmark_accept; cd /proc/sys/net/netfilter
            echo 1 > nf_conntrack_tcp_loose; echo 0 > nf_conntrack_tcp_be_liberal
            """)
    }

    /// A listener of an ordinary program.
    func listen(_ port: UInt16, in namespace: NetworkNamespace, shared: Bool = false) throws -> Descriptor {
        try namespace.run { () throws(SystemError) in
            let socket = Descriptor(owning: try SystemError.check("socket", Kernel.tcpSocket(ipv6: true)))
            _ = Kernel.setV6Only(socket.number, false)
            _ = Kernel.setReuseAddress(socket.number)
            if shared { _ = Kernel.setReusePort(socket.number) }
            let any = SocketAddress(.anyV6, port)
            _ = try SystemError.check("bind", Kernel.bind(socket.number, any, ipv6Socket: true))
            _ = try SystemError.check("listen", Kernel.listen(socket.number, backlog: 1024))
            return socket
        }
    }

    /// A connection of an ordinary program; waits until it stands.
    func connect(_ address: SocketAddress, from namespace: NetworkNamespace) throws -> Descriptor {
        let ipv6 = !address.ip.isIPv4
        let socket = try namespace.run { () throws(SystemError) in
            Descriptor(owning: try SystemError.check("socket", Kernel.tcpSocket(ipv6: ipv6)))
        }
        let result = Kernel.connect(socket.number, address, ipv6Socket: ipv6)
        guard result == 0 || result == -EINPROGRESS else { throw SystemError("connect", -result) }
        try finish(socket.number)
        return socket
    }

    /// Waits until a connect is done.
    func finish(_ socket: Int32) throws {
        guard wait(socket, POLLOUT) else { throw SystemError("connect", ETIMEDOUT) }
        let error = Kernel.pendingError(socket)
        guard error == 0 else { throw SystemError("connect", error) }
    }

    /// Accepts one connection, at most two seconds away.
    func accept(_ listener: Int32) throws -> (descriptor: Int32, peer: SocketAddress) {
        guard wait(listener, POLLIN) else { throw SystemError("accept", ETIMEDOUT) }
        let accepted = Kernel.accept(listener)
        _ = try SystemError.check("accept", accepted.descriptor)
        return accepted
    }

    /// Sends a few bytes one way and expects them to arrive.
    func carries(_ text: String, from sender: Int32, to receiver: Int32) -> Bool {
        var bytes = Array(text.utf8)
        guard Kernel.write(sender, &bytes, bytes.count) == bytes.count, wait(receiver, POLLIN) else { return false }
        var found = [UInt8](repeating: 0, count: 64)
        let count = Kernel.read(receiver, &found, 64)
        return count == bytes.count && Array(found[..<count]) == bytes
    }

    func wait(_ descriptor: Int32, _ events: Int32) -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(events), revents: 0)
        return poll(&entry, 1, 2000) == 1
    }
}

/// Runs a shell script of the test's own making; standard output and error together.
func shell(_ script: String) -> (status: Int32, output: String) {
    guard let stream = popen("exec 2>&1\n" + script, "re") else { return (-1, "popen failed") }
    var output: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
        let count = fread(&buffer, 1, buffer.count, stream)
        if count == 0 { break }
        output += buffer[..<count]
    }
    let status = pclose(stream)
    return (status, String(decoding: output, as: UTF8.self))
}
