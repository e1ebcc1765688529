internal import EventLoop
internal import HBONE
internal import MeshModel

/// A plain connect to one of several endpoints: the application's socket stays untouched until one of them answers.
final class PlainDial: EventHandler {
    private let loop: EventLoop
    private let number: Int32
    private var socket: Descriptor?
    private var deadline: Deadline?
    private var connected: ((consuming Descriptor) -> Void)?
    private var failed: ((TunnelFailure) -> Void)?

    /// Waits for a connect that has begun.
    ///
    /// - Parameters:
    ///   - connected: gets the socket once it is connected.
    ///   - failed: hears why it is not. Exactly one of the two is called, unless ``cancel()`` is.
    /// - Throws: `SystemError` when the loop refuses the socket.
    init(
        _ socket: consuming Descriptor, loop: EventLoop, connected: @escaping (consuming Descriptor) -> Void,
        failed: @escaping (TunnelFailure) -> Void
    ) throws(SystemError) {
        self.loop = loop
        number = socket.number
        self.socket = consume socket
        self.connected = connected
        self.failed = failed
        super.init()
        try loop.add(self, descriptor: number)
        let deadline = Deadline(owner: self, kind: 0)
        deadline.arm(loop.deadlines(seconds: TunnelConnection.stepLimit), now: loop.now)
        self.deadline = deadline
    }

    /// Gives up; nobody is called.
    func cancel() {
        _ = release()
    }

    override func ready(_ readiness: Readiness) {
        guard !readiness.isDisjoint(with: [.writable, .failed, .hungUp]) else { return }
        let code = Kernel.pendingError(number)
        guard code == 0 else {
            return fail(TunnelFailure(.connectFailed, "connect: \(Kernel.errnoName(code))", isBeforeRequest: true))
        }
        let connected = self.connected
        if let socket = release() { connected?(socket) }
    }

    override func expired(_ kind: UInt8) {
        fail(TunnelFailure(.connectTimeout, "connect timed out", isBeforeRequest: true))
    }

    private func fail(_ failure: TunnelFailure) {
        let failed = self.failed
        _ = release()
        failed?(failure)
    }

    private func release() -> Descriptor? {
        deadline = nil
        connected = nil
        failed = nil
        if socket != nil { loop.remove(self, descriptor: number) }
        return socket.take()
    }
}
