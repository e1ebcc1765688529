import Capture
import EventLoop
import Glibc
import MeshModel
import Testing

/// Connections through real rules in real network namespaces.
@Suite(.serialized, .enabled(if: canMakeNamespaces, "needs root: network namespaces"))
struct CapturedTrafficTests {
    private func enrol(_ network: TestNetwork, _ options: CaptureOptions = CaptureOptions()) throws -> PodSockets {
        let capture = PodCapture(network.location, options: options, now: 0)
        guard case .opened(let sockets) = capture.advance(now: 0) else {
            throw CaptureFailure(capture.status.reason ?? "not opened")
        }
        return sockets
    }

    @Test(arguments: [false, true])
    func outboundArrivesWithItsDestination(ipv6: Bool) throws {
        let network = try TestNetwork("out\(ipv6)")
        let sockets = try enrol(network)
        // An address that nobody has: the connection is taken before it leaves the pod.
        let nobody = ipv6 ? IPAddress(high: 0x2001_0db8_0000_0000, low: 7) : IPAddress(v4: 0xc633_6407)
        let far = SocketAddress(nobody, 4711)
        let program = try network.connect(far, from: sockets.namespace)
        let accepted = try network.accept(sockets.outbound.number)
        #expect(accepted.peer.ip == (ipv6 ? TestNetwork.podV6 : TestNetwork.podV4))
        #expect(PodSockets.originalDestination(of: accepted.descriptor) == far)
        #expect(network.carries("ping", from: program.number, to: accepted.descriptor))
        close(accepted.descriptor)
    }

    @Test(arguments: [false, true])
    func ownDialsAndLoopbackAreNotCaptured(ipv6: Bool) throws {
        let network = try TestNetwork("own\(ipv6)")
        let sockets = try enrol(network)
        let client = try network.client()
        let peer = try network.listen(8080, in: client)
        let application = try network.listen(8080, in: sockets.namespace)
        let far = SocketAddress(ipv6 ? TestNetwork.clientV6 : TestNetwork.clientV4, 8080)
        let dial = try sockets.dialPeer(at: far)
        try network.finish(dial.number)
        close(try network.accept(peer.number).descriptor)
        for ip in ipv6 ? [.loopbackV6, TestNetwork.podV6] : [.loopbackV4, TestNetwork.podV4] {
            _ = try network.connect(SocketAddress(ip, 8080), from: sockets.namespace)
            close(try network.accept(application.number).descriptor)
        }
    }

    @Test(arguments: [false, true])
    func inboundArrivesAndTheApplicationSeesTheClient(ipv6: Bool) throws {
        let network = try TestNetwork("in\(ipv6)")
        let sockets = try enrol(network)
        let client = try network.client()
        let application = try network.listen(8080, in: sockets.namespace)
        let service = SocketAddress(ipv6 ? TestNetwork.podV6 : TestNetwork.podV4, 8080)
        let connection = try network.connect(service, from: client)
        let accepted = try network.accept(sockets.inbound.number)
        #expect(PodSockets.originalDestination(of: accepted.descriptor) == service)

        var ports = sockets.sourcePorts(worker: 1, of: 2)
        let expected = ports.ports.lowerBound
        let dial = try sockets.dialApplication(at: service, from: accepted.peer.ip, ports: &ports)
        try network.finish(dial.number)
        let arrived = try network.accept(application.number)
        #expect(arrived.peer == SocketAddress(ipv6 ? TestNetwork.clientV6 : TestNetwork.clientV4, expected))
        #expect(network.carries("question", from: dial.number, to: arrived.descriptor))
        #expect(network.carries("answer", from: arrived.descriptor, to: dial.number))
        #expect(network.carries("done", from: accepted.descriptor, to: connection.number))

        // A port where nothing listens answers at once, although the RST is addressed to the client.
        let closed = SocketAddress(service.ip, 9)
        let refused = try sockets.dialApplication(at: closed, from: accepted.peer.ip, ports: &ports)
        let error = #expect(throws: SystemError.self) { try network.finish(refused.number) }
        #expect(error?.name == "ECONNREFUSED")
        close(arrived.descriptor)
        close(accepted.descriptor)
    }

    @Test(arguments: [false, true])
    func tunnelsArriveUnchanged(ipv6: Bool) throws {
        let network = try TestNetwork("hbone\(ipv6)")
        let sockets = try enrol(network)
        let address = SocketAddress(ipv6 ? TestNetwork.podV6 : TestNetwork.podV4, 15008)
        _ = try network.connect(address, from: network.client())
        let accepted = try network.accept(sockets.tunnel.number)
        #expect(Kernel.localAddress(accepted.descriptor) == address)
        #expect(PodSockets.originalDestination(of: accepted.descriptor) == address)
        close(accepted.descriptor)
    }

    @Test func connectionsFromBeforeEnrolmentLiveOn() throws {
        let network = try TestNetwork("before")
        let client = try network.client()
        let pod = try network.pod()
        let application = try network.listen(8080, in: pod)
        let far = try network.listen(8080, in: client)
        let inbound = try network.connect(SocketAddress(TestNetwork.podV4, 8080), from: client)
        let served = try network.accept(application.number)
        let outbound = try network.connect(SocketAddress(TestNetwork.clientV4, 8080), from: pod)
        let reached = try network.accept(far.number)
        let sockets = try enrol(network)
        for (one, other) in [(inbound.number, served.descriptor), (outbound.number, reached.descriptor)] {
            #expect(network.carries("still", from: one, to: other))
            #expect(network.carries("here", from: other, to: one))
        }
        close(served.descriptor)
        close(reached.descriptor)
        withExtendedLifetime(sockets) {}
    }

    @Test func probeSourcesReachTheApplicationDirectly() throws {
        let network = try TestNetwork("probe")
        let sources = ["10.77.0.1", "fd77::1"].compactMap { IPPrefix($0) }
        let sockets = try enrol(network, CaptureOptions(probeSources: sources))
        let application = try network.listen(8080, in: sockets.namespace)
        for ip in [TestNetwork.podV4, TestNetwork.podV6] {
            _ = try network.connect(SocketAddress(ip, 8080), from: network.client())
            close(try network.accept(application.number).descriptor)
        }
    }

    /// Far more dials than ports, each closed by us first, so that its port is in TIME_WAIT when its turn comes again.
    @Test func portsAreUsedAgainAtOnce() throws {
        let network = try TestNetwork("storm")
        let sockets = try enrol(network)
        let application = try network.listen(8080, in: sockets.namespace)
        let service = SocketAddress(TestNetwork.podV4, 8080)
        var ports = sockets.sourcePorts(worker: 0, of: 1000)
        #expect(ports.ports.count < 20)
        for _ in 0..<500 {
            let dial = try sockets.dialApplication(at: service, from: TestNetwork.clientV4, ports: &ports)
            try network.finish(dial.number)
            let arrived = try network.accept(application.number)
            Kernel.shutdownWrite(dial.number)
            try #require(network.wait(arrived.descriptor, POLLIN))
            close(arrived.descriptor)
        }
    }

    @Test func portsInUseAreSkippedAndTheKernelsAreTheLastResort() throws {
        let network = try TestNetwork("full")
        let sockets = try enrol(network)
        let application = try network.listen(8080, in: sockets.namespace)
        let service = SocketAddress(TestNetwork.podV4, 8080)
        var ports = sockets.sourcePorts(worker: 0, of: 1000)
        var live: [Int32] = []
        defer { for number in live { close(number) } }
        for expected in ports.ports {
            // An allocator that begins anew meets all ports in use before it finds the free one.
            var ports = sockets.sourcePorts(worker: 0, of: 1000)
            let dial = try sockets.dialApplication(at: service, from: TestNetwork.clientV4, ports: &ports)
            try network.finish(dial.number)
            live.append(dial.release())
            let arrived = try network.accept(application.number)
            #expect(arrived.peer.port == expected)
            live.append(arrived.descriptor)
        }
        let spare = try sockets.dialApplication(at: service, from: TestNetwork.clientV4, ports: &ports)
        try network.finish(spare.number)
        let arrived = try network.accept(application.number)
        #expect(arrived.peer.ip == TestNetwork.clientV4)
        #expect(sockets.ephemeralPorts.contains(arrived.peer.port))
        close(arrived.descriptor)
        // Another client has the ports to itself.
        let other = try sockets.dialApplication(at: service, from: IPAddress(v4: 0x0a4d_0009), ports: &ports)
        try network.finish(other.number)
    }

    @Test func theClientsOwnPortIsAvoided() throws {
        let network = try TestNetwork("avoid")
        let sockets = try enrol(network)
        let application = try network.listen(8080, in: sockets.namespace)
        var ports = sockets.sourcePorts(worker: 0, of: 1)
        let dial = try sockets.dialApplication(
            at: SocketAddress(TestNetwork.podV4, 8080), from: TestNetwork.clientV4,
            avoiding: ports.ports.lowerBound, ports: &ports)
        try network.finish(dial.number)
        let arrived = try network.accept(application.number)
        #expect(arrived.peer.port == ports.ports.lowerBound + 1)
        close(arrived.descriptor)
    }

    @Test func threadsComeBackFromAPodsNamespace() throws {
        let network = try TestNetwork("back")
        let path = "/proc/thread-self/ns/net"
        let home = NetworkNamespace.identity(atPath: path)
        let pod = try network.pod()
        let inside = try pod.run { () throws(SystemError) in NetworkNamespace.identity(atPath: path) }
        #expect(inside == pod.identity)
        #expect(NetworkNamespace.identity(atPath: path) == home)
        #expect(throws: SystemError.self) {
            try pod.run { () throws(SystemError) in throw SystemError("bind", EADDRINUSE) }
        }
        #expect(NetworkNamespace.identity(atPath: path) == home)
        #expect(home != nil && home != pod.identity)
    }

    /// Threads that enter different pods at the same time never mix them up.
    @Test func dialsFromSeveralThreadsStayInTheirPods() async throws {
        let networks = [try TestNetwork("many1"), try TestNetwork("many2")]
        let sockets = try networks.map { try enrol($0) }
        let applications = try zip(networks, sockets).map { network, sockets in
            try network.listen(8080, in: sockets.namespace).release()
        }
        defer { for number in applications { close(number) } }
        let service = SocketAddress(TestNetwork.podV4, 8080)
        let failures = await withTaskGroup(of: Int.self) { group in
            for worker in 0..<4 {
                let pod = sockets[worker % 2]
                group.addTask {
                    var ports = pod.sourcePorts(worker: worker, of: 4)
                    var failures = 0
                    for _ in 0..<200 {
                        let client = IPAddress(v4: 0x0a4d_0100 + UInt32(worker))
                        do {
                            _ = try pod.dialApplication(at: service, from: client, ports: &ports)
                        } catch {
                            failures += 1
                        }
                    }
                    return failures
                }
            }
            return await group.reduce(0, +)
        }
        #expect(failures == 0)
        for (index, number) in applications.enumerated() {
            var seen = Set<IPAddress>()
            while true {
                let accepted = Kernel.accept(number)
                guard accepted.descriptor >= 0 else { break }
                seen.insert(accepted.peer.ip)
                close(accepted.descriptor)
            }
            #expect(seen == [IPAddress(v4: 0x0a4d_0100 + UInt32(index)), IPAddress(v4: 0x0a4d_0102 + UInt32(index))])
        }
    }
}
