import EventLoop
import Glibc
import MeshModel
import Testing

@testable import Capture

/// Loads the programs into this kernel and runs connections through them.
@Suite(.serialized, .enabled(if: canMakeNamespaces, "needs root: network namespaces"))
struct BPFCaptureTests {
    /// A BPF file system of a test's own; whatever is pinned there goes with it.
    final class FileSystem {
        let folder: String
        var options: CaptureOptions {
            var options = CaptureOptions(mode: .bpf, retryInterval: 1_000_000, verifyInterval: 1_000_000)
            options.bpfDirectory = folder + "/ztun"
            return options
        }

        init(_ label: String) throws {
            folder = "/tmp/zt-bpf-\(getpid())-\(label)"
            let result = shell("mkdir \(folder) && mount -t bpf bpf \(folder)")
            try #require(result.status == 0, "\(result.output)")
        }

        deinit { _ = shell("umount -l \(folder); rmdir \(folder)") }
    }

    static let far4 = SocketAddress(IPAddress(v4: 0xc000_0201), 81)
    static let far6 = SocketAddress(IPAddress(high: 0x2001_0db8_0000_0000, low: 1), 82)

    private func enrol(_ network: TestNetwork, _ node: NodeCapture) throws -> (PodCapture, PodSockets) {
        let capture = PodCapture(network.location, node: node, now: 0)
        guard case .opened(let sockets) = capture.advance(now: 0) else {
            throw CaptureFailure(capture.status.reason ?? "not enrolled")
        }
        return (capture, sockets)
    }

    @Test func connectionsAreCapturedWithTheirDestination() throws {
        let network = try TestNetwork("bpf")
        let files = try FileSystem("captured")
        let node = NodeCapture(files.options)
        let (capture, sockets) = try enrol(network, node)
        for far in [Self.far4, Self.far6] {
            let client = try network.connect(far, from: try network.pod())
            let accepted = try network.accept(sockets.outbound.number)
            #expect(sockets.originalDestination(of: accepted.descriptor) == far)
            #expect(network.carries("out", from: client.number, to: accepted.descriptor))
            close(accepted.descriptor)
        }
        for address in [TestNetwork.podV4, TestNetwork.podV6] {
            let arrival = SocketAddress(address, 8080)
            let client = try network.connect(arrival, from: try network.client())
            let accepted = try network.accept(sockets.inbound.number)
            #expect(sockets.originalDestination(of: accepted.descriptor) == arrival)
            #expect(network.carries("in", from: client.number, to: accepted.descriptor))
            close(accepted.descriptor)
            let tunnel = try network.connect(SocketAddress(address, 15008), from: try network.client())
            close(try network.accept(sockets.tunnel.number).descriptor)
            _ = tunnel.number
        }
        capture.remove(now: 1)
        _ = capture.advance(now: 1)
        node.close()
        #expect(capture.isRemoved)
        #expect(shell("find \(files.folder) -type f -o -type l | grep -v debug").output.isEmpty)
        withExtendedLifetime(sockets) {}
    }

    /// Class: an enrolled pod whose ztund is gone talks in the clear.
    @Test func aPodWithoutListenersIsClosedAndTakenUpAgain() throws {
        let network = try TestNetwork("bpf-closed")
        let files = try FileSystem("closed")
        do {
            let (capture, _) = try enrol(network, NodeCapture(files.options))
            // As a killed process would: the sockets close, nothing is taken back.
            withExtendedLifetime(capture) {}
        }
        for far in [Self.far4, Self.far6] {
            let error = #expect(throws: SystemError.self) { _ = try network.connect(far, from: try network.pod()) }
            #expect(error?.name == "EPERM")
        }
        let (_, sockets) = try enrol(network, NodeCapture(files.options))
        _ = try network.connect(Self.far4, from: try network.pod())
        close(try network.accept(sockets.outbound.number).descriptor)
    }

    @Test func whatSomebodyTookAwayIsPutBack() throws {
        let network = try TestNetwork("bpf-repair")
        let files = try FileSystem("repair")
        let (capture, sockets) = try enrol(network, NodeCapture(files.options))
        network.inPod("ip rule flush; ip rule add pref 32766 lookup main; ip route flush table 15007")
        _ = shell("rm \(files.folder)/ztun/v1/pod-* \(files.folder)/ztun/v1/connect4")
        _ = capture.advance(now: 10_000_000)
        #expect(capture.status.repairs == 1, "\(capture.status)")
        for part in ["capture rule", "capture route", "lookup program", "connect programs"] {
            #expect(capture.status.lastRepair.contains(part), "\(capture.status.lastRepair)")
        }
        _ = try network.connect(Self.far4, from: try network.pod())
        close(try network.accept(sockets.outbound.number).descriptor)
    }

    @Test func anAddressThatThePodGetsLaterIsItsOwn() throws {
        let network = try TestNetwork("bpf-address")
        let files = try FileSystem("address")
        let (capture, sockets) = try enrol(network, NodeCapture(files.options))
        network.inPod("ip addr add 10.77.0.3/24 dev eth0")
        _ = capture.advance(now: 10_000_000)
        #expect(capture.status.lastRepair == "addresses")
        let arrival = SocketAddress(IPAddress(v4: 0x0a4d_0003), 8080)
        let client = try network.connect(arrival, from: try network.client())
        let accepted = try network.accept(sockets.inbound.number)
        #expect(sockets.originalDestination(of: accepted.descriptor) == arrival)
        close(accepted.descriptor)
        _ = client.number
    }

    @Test func obstaclesAreNamed() throws {
        let network = try TestNetwork("bpf-obstacle")
        var options = CaptureOptions(mode: .bpf)
        options.bpfDirectory = "/tmp/zt-no-bpf-\(getpid())"
        let capture = PodCapture(network.location, options: options, now: 0)
        _ = capture.advance(now: 0)
        #expect(capture.status.reason?.contains("not in a BPF file system; mount one") == true)
        options.mode = .auto
        let automatic = PodCapture(network.location, options: options, now: 0)
        _ = automatic.advance(now: 0)
        #expect(automatic.status.mode == .nft && automatic.status.phase == .enrolled)
        #expect(automatic.status.modeReason.contains("BPF file system"))
        automatic.remove(now: 1)
        _ = automatic.advance(now: 1)
        let files = try FileSystem("obstacle")
        var lost = files.options
        lost.podCgroup = "/sys/fs/cgroup/nowhere-\(getpid())"
        let other = PodCapture(network.location, options: lost, now: 0)
        _ = other.advance(now: 0)
        #expect(other.status.reason?.contains("attach to connects in the cgroup") == true)
        // Nothing half attached, nothing left over.
        #expect(shell("find \(files.folder) -type f -o -type l | grep -v debug").output.isEmpty)
    }
}
