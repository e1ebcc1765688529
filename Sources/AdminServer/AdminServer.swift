internal import EventLoop
internal import Glibc
internal import MeshModel
package import Telemetry

/// The admin, metrics, readiness and control listeners of a program, on a thread of their own.
///
/// It touches no worker but through ``AdminSource/ask(worker:_:)``; a peer that reads slowly, sends slowly or never
/// ends costs this thread a bounded buffer and nobody else anything.
package final class AdminServer: Sendable {
    private let mailbox: Mailbox<AdminMessage>
    private let thread: LoopThread
    private let socket: ControlSocket?
    /// Whether the control socket is ours to take away.
    private let ownsSocket: Lock<Bool>
    /// The path of the socket that questions are taken at after another process has the usual one.
    private let aside = Lock<String?>(nil)
    /// Its listeners, which another process may be given: all of them until ``leave(_:)``.
    package let openListeners: [OpenListener]
    /// Where it listens, with the ports the kernel chose for those asked for as 0.
    package let addresses: AdminAddresses

    /// The effective user of this process: it and root may use the control socket.
    static let ownUID: UInt32 = geteuid()

    /// Opens the listeners, then starts the thread.
    ///
    /// - Parameter inherited: listeners of the program before this one, used where an address is not free. The control
    ///   socket among them is that program's until ``ownSocket()``.
    /// - Throws: what could not be opened, with the cause and the next step; nothing stays open then.
    package init(
        _ addresses: AdminAddresses, source: any AdminSource, log: Log, inherited: [InheritedListener] = []
    ) throws(AdminFailure) {
        var listeners: [(number: Int32, surface: AdminSurface)] = []
        var socket: ControlSocket?
        var bound = addresses
        let mailbox: Mailbox<AdminMessage>
        do throws(AdminFailure) {
            if let path = addresses.controlSocket {
                var opened = Self.inheritedSocket(path, inherited)
                if opened == nil { opened = try ControlSocket(path) }
                socket = opened
                if let opened { listeners.append((opened.listener, .control)) }
            }
            for (address, surface) in [
                (addresses.admin, AdminSurface.admin), (addresses.metrics, .metrics), (addresses.readiness, .readiness),
            ] {
                guard let address else { continue }
                listeners.append((try Self.listen(at: address, surface, inherited), surface))
            }
            for listener in listeners {
                switch listener.surface {
                case .admin: bound.admin = Kernel.localAddress(listener.number)
                case .metrics: bound.metrics = Kernel.localAddress(listener.number)
                case .readiness: bound.readiness = Kernel.localAddress(listener.number)
                case .control: break
                }
            }
            if let admin = bound.admin, admin.ip == .loopbackV4,
                let second = try? Self.listen(at: SocketAddress(.loopbackV6, admin.port), .admin, inherited)
            {
                // istioctl may forward to either loopback; without IPv6 one is enough.
                listeners.append((second, .admin))
            }
            do throws(SystemError) {
                mailbox = try Mailbox()
                thread = try LoopThread(name: "ztun-admin") { [listeners] in
                    Self.run(listeners, source: source, log: log, mailbox: mailbox)
                }
            } catch {
                throw AdminFailure("the admin thread could not start: \(error); raise the limits of this process")
            }
        } catch {
            for listener in listeners { _ = Descriptor(owning: listener.number) }
            if inherited.isEmpty { socket?.remove() }
            throw error
        }
        self.mailbox = mailbox
        self.socket = socket
        let isInherited = inherited.contains { $0.listener.surface == "control" && $0.isTaken }
        ownsSocket = Lock(!isInherited)
        let path = addresses.controlSocket ?? ""
        var open = listeners.map { listener in
            let local = Kernel.localAddress(listener.number).map { "\($0)" } ?? path
            return OpenListener(surface: listener.surface.rawValue, address: local, number: listener.number)
        }
        if let socket { open.append(OpenListener(surface: "lock", address: path, number: socket.lockNumber)) }
        openListeners = open
        self.addresses = bound
    }

    private static func run(
        _ listeners: [(number: Int32, surface: AdminSurface)], source: any AdminSource, log: Log,
        mailbox: Mailbox<AdminMessage>
    ) {
        do throws(SystemError) {
            let loop = try AdminLoop(source: source, log: log, mailbox: mailbox)
            for listener in listeners {
                try loop.listen(Descriptor(owning: listener.number), surface: listener.surface)
            }
            try loop.run()
        } catch {
            log.write(.error, .admin, "the admin thread has ended", now: Kernel.realtimeNow()) {
                $0.field("cause", string: error.description)
            }
        }
    }

    /// Ends the thread, closes everything and removes the control socket; call once.
    package func stop() {
        mailbox.post(.stop)
        thread.join()
        if ownsSocket.withLock({ $0 }) { socket?.remove() }
        if let path = aside.withLock({ $0 }) { unlink(path) }
    }

    /// Takes questions at another path, for a program whose control socket another process has now. Where that fails, nobody can
    /// ask it any more: it goes on all the same.
    package func listenAside(_ path: String) -> Bool {
        guard path.utf8.count < 108 else { return false }
        unlink(path)
        let listener = Kernel.unixListen(path, backlog: 16, mode: 0o600)
        guard listener >= 0 else { return false }
        aside.withLock { $0 = path }
        mailbox.post(.listen(listener))
        return true
    }

    /// The control socket that was inherited is ours from now on.
    package func ownSocket() {
        ownsSocket.withLock { $0 = true }
        socket?.sign()
    }

    /// Another process has taken over these of ``openListeners``: ours are closed, the others go on.
    package func leave(_ listeners: [OpenListener]) {
        mailbox.post(.leave(listeners.filter { $0.surface != "lock" }.map(\.number)))
        guard listeners.contains(where: { $0.surface == "lock" }) else { return }
        let wasOurs = ownsSocket.withLock { owns in
            defer { owns = false }
            return owns
        }
        if wasOurs { socket?.leave() }
    }

    /// The control socket of the program before this one; nil when there is none for the path.
    private static func inheritedSocket(_ path: String, _ inherited: [InheritedListener]) -> ControlSocket? {
        let same = inherited.filter { $0.listener.address == path }
        guard let listener = same.first(where: { $0.listener.surface == "control" }),
            let lock = same.first(where: { $0.listener.surface == "lock" }),
            let socket = listener.take(), let held = lock.take()
        else { return nil }
        return ControlSocket(path, listener: socket, lock: held)
    }

    private static func listen(
        at address: SocketAddress, _ surface: AdminSurface, _ inherited: [InheritedListener] = []
    ) throws(AdminFailure) -> Int32 {
        let isIPv6 = !address.ip.isIPv4
        let socket = Kernel.tcpSocket(ipv6: isIPv6)
        if socket < 0, isIPv6, address.ip.isUnspecified {
            // No IPv6 on this host: every address of the other family is what is meant.
            return try listen(at: SocketAddress(.anyV4, address.port), surface)
        }
        func failure(_ call: String, _ code: Int32) -> AdminFailure {
            let flag = surface == .admin ? "--admin-address" : "--\(surface.rawValue)-address"
            let step =
                Kernel.errnoName(-code) == "EADDRINUSE"
                ? "another program has the port: stop it or choose another with \(flag)" : "choose another with \(flag)"
            return AdminFailure("\(surface.rawValue) listener \(address): \(SystemError(call, -code)); \(step)")
        }
        guard socket >= 0 else { throw failure("socket", socket) }
        let descriptor = Descriptor(owning: socket)
        _ = Kernel.setReuseAddress(descriptor.number)
        if isIPv6 { _ = Kernel.setV6Only(descriptor.number, !address.ip.isUnspecified) }
        let bound = Kernel.bind(descriptor.number, address, ipv6Socket: isIPv6)
        let result = bound < 0 ? bound : Kernel.listen(descriptor.number, backlog: 128)
        if result < 0 {
            // Who has it may be the one that hands over to us.
            let same = inherited.first {
                $0.listener.surface == surface.rawValue && $0.listener.address == "\(address)"
            }
            if let number = same?.take() { return number }
            throw failure(bound < 0 ? "bind" : "listen", result)
        }
        return descriptor.release()
    }
}
