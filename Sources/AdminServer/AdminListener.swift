internal import EventLoop

/// A listening socket of the admin server.
final class AdminListener: EventHandler {
    private let descriptor: Descriptor
    private let surface: AdminSurface
    /// Its descriptor, valid while this object lives.
    var number: Int32 { descriptor.number }
    // The server owns its listeners and outlives them.
    private unowned let server: AdminLoop
    private lazy var pause = Deadline(owner: self, kind: 0)

    init(_ descriptor: consuming Descriptor, surface: AdminSurface, server: AdminLoop) {
        self.descriptor = descriptor
        self.surface = surface
        self.server = server
    }

    func start() throws(SystemError) {
        try server.loop.addListener(self, descriptor: descriptor.number, exclusive: false)
    }

    /// Stops accepting; the socket closes when this object goes.
    func close() {
        pause.cancel()
        server.loop.remove(self, descriptor: descriptor.number)
    }

    override func ready(_ readiness: Readiness) {
        for _ in 0..<16 {
            let isUnix = surface == .control
            let number = isUnix ? Kernel.unixAccept(descriptor.number) : Kernel.accept(descriptor.number).descriptor
            guard number < 0 else {
                server.accepted(Descriptor(owning: number), surface: surface)
                continue
            }
            let name = Kernel.errnoName(-number)
            if name == "EAGAIN" { return }
            if name == "ECONNABORTED" || name == "EINTR" { continue }
            // Out of descriptors or memory: the listener stays readable, so look away for a while.
            server.loop.remove(self, descriptor: descriptor.number)
            pause.arm(server.loop.deadlines(seconds: 0.25), now: server.loop.now)
            return
        }
    }

    override func expired(_ kind: UInt8) {
        do throws(SystemError) { try start() } catch {
            pause.arm(server.loop.deadlines(seconds: 0.25), now: server.loop.now)
        }
    }
}
