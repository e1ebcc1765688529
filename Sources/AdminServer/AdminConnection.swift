internal import EventLoop
internal import HTTP1
internal import MeshModel

/// One HTTP/1.1 connection to the admin server: a request, its answer, the next.
///
/// Bounded in time and space: 16 KiB of request, ten seconds for a request to come and for an answer to be taken.
final class AdminConnection: EventHandler, HTTP1RequestDelegate {
    private enum State { case reading, answering, writing, streaming, lingering, closed }

    /// Most bytes of a request's head, and of its body.
    static let requestLimit = Limits.standard.adminRequestBytes
    /// Most bytes of a body on the control socket, which only root reaches: manifests to try.
    private static let controlBodyLimit = Limits.standard.controlRequestBytes

    private var bodyLimit: Int { surface == .control ? Self.controlBodyLimit : Self.requestLimit }

    let identifier: UInt64
    let surface: AdminSurface
    /// Whether the peer may give commands.
    let isTrusted: Bool
    /// Counts the requests, so that a late answer does not meet a later question.
    private(set) var serial: UInt64 = 0
    private let descriptor: Descriptor
    // The server owns its connections and outlives them.
    private unowned let server: AdminLoop
    private var state = State.reading
    private var input: [UInt8] = []
    private(set) var body: [UInt8] = []
    private var output: [UInt8] = []
    private var written = 0
    private var keepAlive = true
    private var mayRead = true
    private var discarded = 0
    private var isStreamEnding = false
    private lazy var parser = HTTP1RequestParser(
        delegate: self, limits: HTTP1Limits(headBytes: Self.requestLimit))
    private lazy var deadline = Deadline(owner: self, kind: 0)

    init(
        _ descriptor: consuming Descriptor, identifier: UInt64, surface: AdminSurface, trusted: Bool, server: AdminLoop
    ) {
        self.descriptor = descriptor
        self.identifier = identifier
        self.surface = surface
        isTrusted = trusted
        self.server = server
    }

    func start() throws(SystemError) {
        try server.loop.add(self, descriptor: descriptor.number)
        arm(seconds: 10)
        advance()
    }

    private func arm(seconds: Double) {
        deadline.arm(server.loop.deadlines(seconds: seconds), now: server.loop.now)
    }

    override func ready(_ readiness: Readiness) {
        if readiness.contains(.failed) { return close() }
        if readiness.contains(.readable) || readiness.contains(.peerClosed) { mayRead = true }
        if state == .writing, readiness.contains(.writable) { return write() }
        if state == .streaming {
            if readiness.contains(.hungUp) { return close() }
            if readiness.contains(.writable) { writeStream() }
        }
        advance()
    }

    override func expired(_ kind: UInt8) {
        close()
    }

    func close() {
        guard state != .closed else { return }
        state = .closed
        deadline.cancel()
        server.loop.remove(self, descriptor: descriptor.number)
        Kernel.shutdownWrite(descriptor.number)
        output = []
        server.forget(self)
    }

    // MARK: - Reading

    /// Reads and parses until there is a request to answer or nothing more to read.
    private func advance() {
        while state == .reading || state == .lingering || state == .streaming {
            if state == .reading, !input.isEmpty {
                let count = input.withUnsafeBytes { bytes in
                    bytes.baseAddress.map { parser.receive($0, count: bytes.count) } ?? 0
                }
                input.removeFirst(min(count, input.count))
                if count > 0 || state != .reading { continue }
                return close()
            }
            guard mayRead else { return }
            readMore()
        }
    }

    private func readMore() {
        let count = withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 1) { buffer -> Int in
            guard let base = buffer.baseAddress else { return 0 }
            let count = Kernel.read(descriptor.number, base, buffer.count)
            if count > 0, state == .reading { input.append(contentsOf: buffer.prefix(count)) }
            return count
        }
        if count > 0 {
            discarded += state == .reading ? 0 : count
            if discarded > 16 * Self.requestLimit { close() }
        } else if count == 0 {
            close()
        } else if SystemError("read", Int32(-count)).name == "EAGAIN" {
            mayRead = false
        } else {
            close()
        }
    }

    func parser(_ parser: HTTP1RequestParser, didReadHead head: HTTP1RequestHead) {
        serial += 1
        keepAlive = head.keepAlive
        if case .length(let length) = head.framing, length > UInt64(bodyLimit) { refuseBody() }
    }

    func parser(_ parser: HTTP1RequestParser, didReadBody bytes: UnsafeRawPointer, count: Int) {
        guard state == .reading else { return }
        body.append(contentsOf: UnsafeRawBufferPointer(start: bytes, count: count))
        if body.count > bodyLimit { refuseBody() }
    }

    private func refuseBody() {
        keepAlive = false
        parser.stop()
        respond(.text(413, "a request has at most \(Self.requestLimit) bytes\n"))
    }

    func parserDidEndRequest(_ parser: HTTP1RequestParser) {
        guard state == .reading else { return }
        state = .answering
        let head = parser.head
        let route = AdminRoute(
            surface, method: head.methodText, target: head.block.text(head.path), accept: head.value(of: "accept") ?? ""
        )
        server.answer(route, for: self)
    }

    func parser(_ parser: HTTP1RequestParser, didFail failure: HTTP1Failure) {
        guard state == .reading else { return }
        keepAlive = false
        respond(.text(failure.status, "\(failure.rawValue)\n"))
    }

    // MARK: - Writing

    /// Sends the answer of the current request; ignored when the connection has none.
    func respond(_ response: AdminResponse) {
        guard state == .reading || state == .answering else { return }
        state = .writing
        output = response.bytes(keepAlive: keepAlive)
        written = 0
        arm(seconds: 10)
        // The parser may stand in the call stack; writing waits for the flush.
        server.loop.mark(self)
    }

    override func flush() {
        if state == .writing { write() }
        if state == .streaming || isStreamEnding { writeStream() }
    }

    // MARK: - Streaming

    /// Begins an answer without an end of its own: lines, until ``endStream()`` or until the peer goes.
    ///
    /// - Parameter since: how far back the lines may go, told in a header field.
    func beginStream(since: String) {
        guard state == .reading || state == .answering else { return }
        state = .streaming
        keepAlive = false
        // A reader may wait for hours, and may not read for hours: it holds one buffer.
        deadline.cancel()
        output = AdminResponse.streamHead(since: since)
        written = 0
        server.loop.mark(self)
    }

    /// Whether everything sent so far was taken.
    var hasRoom: Bool { state != .streaming || written == output.count }

    /// Sends more of the stream; for when there is room.
    func send(_ bytes: [UInt8]) {
        guard state == .streaming, !bytes.isEmpty else { return }
        if written == output.count {
            output = bytes
            written = 0
        } else {
            output += bytes
        }
        server.loop.mark(self)
    }

    /// The stream is over once what was sent is taken.
    func endStream() {
        isStreamEnding = true
        server.loop.mark(self)
    }

    private func writeStream() {
        guard state == .streaming, pushOutput() else { return }
        guard isStreamEnding else { return }
        isStreamEnding = false
        finishWriting()
    }

    /// Writes until nothing is left; false when the socket is full or gone.
    private func pushOutput() -> Bool {
        while written < output.count {
            let count = output.withUnsafeBytes { bytes in
                bytes.baseAddress.map { Kernel.write(descriptor.number, $0 + written, bytes.count - written) } ?? 0
            }
            guard count >= 0 else {
                if SystemError("write", Int32(-count)).name != "EAGAIN" { close() }
                return false
            }
            written += count
        }
        output = []
        written = 0
        return true
    }

    private func write() {
        guard pushOutput() else { return }
        finishWriting()
    }

    private func finishWriting() {
        body = []
        if keepAlive {
            parser.startNext()
            state = .reading
            arm(seconds: 60)
        } else {
            // Closing with unread bytes would reset the connection and could cost the peer its answer.
            Kernel.shutdownWrite(descriptor.number)
            state = .lingering
            input = []
            arm(seconds: 1)
        }
        advance()
    }
}
