internal import CLinux
internal import EventLoop
internal import MeshModel

/// One test of an enrolled pod's capture with connections of our own, none of which an application sees.
///
/// In each family that the pod has: out to an address that is nobody's, as to a service; in from ztund's own namespace; and
/// a dial with somebody else's source address, as ztund reaches applications. Nothing blocks: ``look(now:)`` is called
/// until it says how it ended.
final class PodCanary {
    /// How a canary ended.
    enum Outcome: Sendable, Hashable {
        case running
        /// All that could be tried came through; `untried` says what could not, and why.
        case passed(untried: [String])
        /// Why, and what to do, for a person.
        case failed(String)
    }

    /// Nanoseconds until an answer must be there: a lost SYN is sent again after one second.
    static let patience: UInt64 = 1_500_000_000

    private enum Path {
        case out(SocketAddress)
        case into(SocketAddress)
        case dial(from: IPAddress)
    }

    /// One connection under way.
    private final class Flight {
        let path: Path
        let socket: Descriptor
        /// Its source port, where the register knows it by that.
        let port: UInt16
        /// Accepts what is dialled.
        let probe: HeldListener?
        var isDone = false

        init(_ path: Path, _ socket: consuming Descriptor, port: UInt16 = 0, probe: HeldListener? = nil) {
            self.path = path
            self.socket = socket
            self.port = port
            self.probe = probe
        }
    }

    private final class HeldListener {
        let socket: Descriptor
        init(_ socket: consuming Descriptor) { self.socket = socket }
    }

    private let sockets: PodSockets
    private var flights: [Flight] = []
    private var untried: [String] = []
    private var failure: String?
    private let startedAt: UInt64

    /// Sends all of them.
    ///
    /// - Parameters:
    ///   - mark: what the mode gives to connections of the pod; nil where none of ours can stand for them.
    ///   - sources: sources that reach applications directly, which says nothing about capture.
    init(in sockets: PodSockets, outboundMark mark: UInt32?, probeSources sources: [IPPrefix], now: UInt64) {
        self.sockets = sockets
        startedAt = now
        let addresses: [IPAddress]
        do throws(SystemError) {
            addresses = try sockets.namespace.addresses()
        } catch {
            failure = "its addresses cannot be read: \(error)"
            return
        }
        for ipv6 in [false, true] {
            guard let own = addresses.first(where: { $0.isIPv4 != ipv6 }), sockets.acceptsIPv6 || !ipv6 else {
                continue
            }
            let far = ipv6 ? CanaryRegister.farV6 : CanaryRegister.farV4
            if let mark {
                send("out", .out(SocketAddress(far, CanaryRegister.port)), ipv6, mark, sources)
            } else {
                untried.append("out (this mode knows only connections of the pod's own programs)")
            }
            send("in", .into(SocketAddress(own, CanaryRegister.port)), ipv6, 0, sources)
            dial(to: own, from: far, ipv6)
        }
    }

    deinit {
        for flight in flights { end(flight) }
    }

    /// How it stands.
    func look(now: UInt64) -> Outcome {
        for flight in flights where !flight.isDone && failure == nil {
            examine(flight, isLate: now >= startedAt &+ Self.patience)
        }
        if let failure { return .failed(failure) }
        return flights.allSatisfy(\.isDone) ? .passed(untried: untried) : .running
    }

    // MARK: - Sending

    private func send(_ name: String, _ path: Path, _ ipv6: Bool, _ mark: UInt32, _ sources: [IPPrefix]) {
        let destination: SocketAddress
        let isInside: Bool
        switch path {
        case .out(let address): (destination, isInside) = (address, true)
        case .into(let address): (destination, isInside) = (address, false)
        case .dial: return
        }
        do throws(SystemError) {
            let socket = isInside ? try sockets.openDial(ipv6: ipv6, mark: mark) : try Self.ownSocket(ipv6)
            Kernel.resetOnClose(socket.number)
            // The port is needed before the first packet leaves: a worker may be quicker than we are.
            try check("bind", Kernel.bind(socket.number, SocketAddress(ipv6 ? .anyV6 : .anyV4, 0), ipv6Socket: ipv6))
            guard let port = Kernel.localAddress(socket.number)?.port else { throw SystemError("getsockname", 22) }
            sockets.canaries.announce(port)
            let flight = Flight(path, socket, port: port)
            flights.append(flight)
            let result = Kernel.connect(flight.socket.number, destination, ipv6Socket: ipv6)
            if result < 0, !Kernel.isInProgress(result) { throw SystemError("connect", -result) }
            if !isInside, let local = Kernel.localAddress(flight.socket.number),
                sources.contains(where: { $0.contains(local.ip) })
            {
                flight.isDone = true
                untried.append("in (\(local.ip) is a probe source)")
            }
        } catch {
            // Nothing to test where there is no way: the pod has no route either.
            guard !["ENETUNREACH", "EHOSTUNREACH", "EADDRNOTAVAIL", "EAFNOSUPPORT"].contains(error.name) else {
                flights.last?.isDone = true
                return untried.append("\(name) over \(ipv6 ? "IPv6" : "IPv4") (\(error))")
            }
            failure = failure ?? "the test connection to \(destination) cannot be opened: \(error)"
        }
    }

    private func dial(to own: IPAddress, from far: IPAddress, _ ipv6: Bool) {
        do throws(SystemError) {
            let probe = HeldListener(
                try sockets.namespace.run { () throws(SystemError) in
                    Descriptor(owning: try SystemError.check("socket", zt_socket_tcp(ipv6 ? 1 : 0)))
                })
            let number = probe.socket.number
            // As an application has it: without any mark, on the pod's own address.
            try check("bind", Kernel.bind(number, SocketAddress(own, 0), ipv6Socket: ipv6))
            try check("listen", Kernel.listen(number, backlog: 1))
            guard let target = Kernel.localAddress(number) else { throw SystemError("getsockname", 22) }
            var ports = SourcePortAllocator(worker: 0, of: 1, ephemeral: sockets.ephemeralPorts)
            let socket = try sockets.dialApplication(at: target, from: far, ports: &ports)
            Kernel.resetOnClose(socket.number)
            flights.append(Flight(.dial(from: far), socket, probe: probe))
        } catch {
            failure = failure ?? "a connection to the application from a client's address cannot be opened: \(error)"
        }
    }

    private static func ownSocket(_ ipv6: Bool) throws(SystemError) -> Descriptor {
        Descriptor(owning: try SystemError.check("socket", Kernel.tcpSocket(ipv6: ipv6)))
    }

    // MARK: - Looking

    private func examine(_ flight: Flight, isLate: Bool) {
        switch flight.path {
        case .out(let wanted):
            arrived(flight, .outbound, wanted, isLate, "a connection of the pod to \(wanted) did not reach ztund")
        case .into(let wanted):
            arrived(flight, .inbound, wanted, isLate, "a connection to \(wanted) from outside did not reach ztund")
        case .dial(let source):
            accepted(flight, source, isLate)
        }
    }

    private func arrived(
        _ flight: Flight, _ listener: CanaryRegister.Listener, _ wanted: SocketAddress, _ isLate: Bool, _ loss: String
    ) {
        if let arrival = sockets.canaries.arrival(of: flight.port) {
            end(flight)
            guard arrival.listener == listener, arrival.destination == wanted else {
                failure =
                    "a connection to \(wanted) came to ztund as one to \(arrival.destination)"
                    + (arrival.listener == listener ? "" : ", by the wrong listener")
                return
            }
            return
        }
        let code = Kernel.pendingError(flight.socket.number)
        // The end of a canary that was accepted may be seen before its arrival is.
        let isEnded = code != 0 && Kernel.errnoName(code) != "ECONNRESET"
        guard isEnded || isLate else { return }
        if listener == .inbound, !isEnded || Kernel.errnoName(code) != "ECONNREFUSED" {
            // Between ztund and the pod stands more than capture: a network policy, say.
            end(flight)
            return untried.append("in (no answer from \(wanted.ip): no way from here, or a network policy)")
        }
        failure = loss + (isEnded ? " (\(Kernel.errnoName(code)))" : " within \(Self.patience / 1_000_000) ms")
    }

    private func accepted(_ flight: Flight, _ source: IPAddress, _ isLate: Bool) {
        guard let probe = flight.probe else { return }
        let (result, peer) = Kernel.accept(probe.socket.number)
        if result >= 0 {
            let accepted = Descriptor(owning: result)
            Kernel.resetOnClose(accepted.number)
            if peer.ip != source { failure = "the application sees \(peer.ip) in place of the client \(source)" }
            return end(flight)
        }
        let code = Kernel.pendingError(flight.socket.number)
        guard code != 0 || isLate else { return }
        failure =
            "a connection to the application from a client's address does not come through"
            + (code != 0 ? " (\(Kernel.errnoName(code)))" : "")
    }

    private func end(_ flight: Flight) {
        flight.isDone = true
        if flight.port != 0 { sockets.canaries.forget(flight.port) }
    }
}
