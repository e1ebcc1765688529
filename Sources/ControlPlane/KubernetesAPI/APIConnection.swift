internal import Glibc
internal import HTTP1
internal import TLS

/// One HTTP/1.1 connection over TLS to an API server, made when it is needed and kept while it can be used; blocking, for a
/// thread of its own.
final class APIConnection {
    private let server: APIServer
    private let stop: StopSignal
    private let channel = TLSChannel()
    private var socket: Int32 = -1
    private var session: HTTPSSession?
    private var response: APIResponse?
    /// Milliseconds for a connection and its handshake.
    private static let connectTime = 10_000

    init(_ server: APIServer, stop: StopSignal) {
        self.server = server
        self.stop = stop
    }

    deinit { close() }

    /// Whether the next request would use a connection that has served one already.
    var isOpen: Bool { socket >= 0 }

    /// Milliseconds of the clock that only goes forward.
    static func now() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return time.tv_sec * 1000 + time.tv_nsec / 1_000_000
    }

    /// Sends a request.
    /// - Parameters:
    ///   - target: path and query; the server's own prefix is put before it.
    ///   - type: of the body; empty for a request without one.
    func send(
        _ method: String, _ target: String, type: String = "", body: [UInt8] = []
    ) throws(APIFailure) {
        var head = "\(method) \(server.path)\(target) HTTP/1.1\r\nHost: \(server.authority)\r\n"
        head += "Accept: application/json\r\nUser-Agent: ztun\r\n"
        do throws(CertificateError) {
            if let token = server.token { head += "Authorization: Bearer \(try token.read())\r\n" }
        } catch {
            throw .credentials(error.description)
        }
        if !type.isEmpty { head += "Content-Type: \(type)\r\nContent-Length: \(body.count)\r\n" }
        head += "\r\n"
        if socket < 0 { try connect() }
        let response = APIResponse(answerTo: method == "GET" ? .get : .other)
        self.response = response
        let bytes = Array(head.utf8) + body
        var sent = 0
        let deadline = Self.now() + Self.connectTime
        while sent < bytes.count {
            let count = min(TLSChannel.unit, bytes.count - sent)
            let isSealed = bytes.withUnsafeBytes { buffer in
                session?.write(UnsafeRawBufferPointer(rebasing: buffer[sent..<(sent + count)])) ?? false
            }
            guard isSealed else { throw broken(session?.failure ?? "not connected") }
            try flush(until: deadline)
            sent += count
        }
    }

    /// Waits for more of the answer; what has come is in the response.
    /// - Parameter deadline: of ``now()``.
    /// - Returns: the response, whose body may have grown or be complete.
    func receive(until deadline: Int) throws(APIFailure) -> APIResponse {
        guard let response, let session, socket >= 0 else { throw .transport("not connected") }
        let input = UnsafeMutableRawBufferPointer.allocate(byteCount: 32_768, alignment: 8)
        let plain = UnsafeMutableRawBufferPointer.allocate(byteCount: 32_768, alignment: 8)
        defer {
            input.deallocate()
            plain.deallocate()
        }
        let before = response.received
        while response.received == before, !response.isComplete {
            let count = try read(into: input, until: deadline)
            guard count > 0 else {
                response.end()
                close()
                if let failure = response.failure { throw .transport(failure) }
                break
            }
            // `count` bytes of the buffer were just filled, so it has a base.
            guard let base = input.baseAddress else { break }
            channel.setInput(base, count: count)
            taking: while true {
                let taken = session.read(into: plain)
                switch taken {
                case 1...: response.take(UnsafeRawBufferPointer(rebasing: plain[..<taken]))
                case 0: break taking
                case -1:
                    response.end()
                    close()
                    break taking
                default: throw broken(session.failure ?? "TLS failed")
                }
            }
            if socket >= 0 { try flush(until: deadline) }
            if let failure = response.failure { throw broken(failure) }
            if socket < 0 { break }
        }
        if response.isComplete, !response.keepsConnection { close() }
        return response
    }

    /// Ends the connection; the next request makes another.
    func close() {
        guard socket >= 0 else { return }
        session?.close()
        if channel.outputCount > 0 {
            _ = Glibc.send(socket, channel.output, channel.outputCount, Int32(MSG_NOSIGNAL))
            channel.clearOutput()
        }
        Glibc.close(socket)
        socket = -1
        session = nil
    }

    private func broken(_ why: String) -> APIFailure {
        close()
        return .transport("\(server): \(why)")
    }

    private func wait(_ events: Int32, until deadline: Int) throws(APIFailure) {
        do throws(APIFailure) {
            guard try stop.wait(for: socket, events, milliseconds: deadline - Self.now()) else { throw .timeout }
        } catch {
            close()
            throw error
        }
    }

    private func read(into buffer: UnsafeMutableRawBufferPointer, until deadline: Int) throws(APIFailure) -> Int {
        while true {
            let count = recv(socket, buffer.baseAddress, buffer.count, 0)
            if count >= 0 { return count }
            guard errno == EAGAIN || errno == EINTR else { throw broken(String(cString: strerror(errno))) }
            try wait(Int32(POLLIN), until: deadline)
        }
    }

    private func flush(until deadline: Int) throws(APIFailure) {
        var sent = 0
        while sent < channel.outputCount {
            let count = Glibc.send(
                socket, channel.output + sent, channel.outputCount - sent, Int32(MSG_NOSIGNAL))
            if count > 0 {
                sent += count
            } else if errno == EAGAIN || errno == EINTR {
                try wait(Int32(POLLOUT), until: deadline)
            } else {
                throw broken(String(cString: strerror(errno)))
            }
        }
        channel.clearOutput()
    }

    // MARK: - Connecting

    private func connect() throws(APIFailure) {
        // Files are read anew: authorities and certificates are replaced like tokens.
        let context: HTTPSContext
        do throws(CertificateError) {
            context = try HTTPSContext(
                roots: try server.roots?.read(), certificate: try server.certificate?.read(),
                key: try server.key?.read(), what: server.description)
        } catch {
            throw .credentials(error.description)
        }
        let deadline = Self.now() + Self.connectTime
        try dial(until: deadline)
        do throws(CertificateError) {
            session = try HTTPSSession(context, channel: channel, host: server.serverName ?? server.host)
        } catch {
            throw broken(error.description)
        }
        try shakeHands(until: deadline)
    }

    /// Connects to the first address that answers.
    private func dial(until deadline: Int) throws(APIFailure) {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_NUMERICSERV
        var found: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(server.host, "\(server.port)", &hints, &found)
        guard code == 0 else { throw .transport("\(server): \(String(cString: gai_strerror(code)))") }
        defer { freeaddrinfo(found) }
        var why = "the name has no address"
        var next = found
        while let address = next?.pointee {
            next = address.ai_next
            socket = Glibc.socket(
                address.ai_family, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), 0)
            guard socket >= 0 else { throw .transport(String(cString: strerror(errno))) }
            setOptions()
            if Glibc.connect(socket, address.ai_addr, address.ai_addrlen) == 0 { return }
            var fault = errno
            if fault == EINPROGRESS {
                try wait(Int32(POLLOUT), until: min(deadline, Self.now() + 5000))
                var length = socklen_t(MemoryLayout<Int32>.size)
                getsockopt(socket, SOL_SOCKET, SO_ERROR, &fault, &length)
                if fault == 0 { return }
            }
            why = String(cString: strerror(fault))
            Glibc.close(socket)
            socket = -1
        }
        throw .transport("\(server): \(why)")
    }

    /// A server that is gone without a word is noticed within a minute, watches being silent for long.
    private func setOptions() {
        for (level, name, value) in [
            (SOL_SOCKET, SO_KEEPALIVE, 1), (Int32(IPPROTO_TCP), TCP_KEEPIDLE, 20),
            (Int32(IPPROTO_TCP), TCP_KEEPINTVL, 10), (Int32(IPPROTO_TCP), TCP_KEEPCNT, 3),
            (Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, 50_000), (Int32(IPPROTO_TCP), TCP_NODELAY, 1),
        ] {
            var value = Int32(value)
            setsockopt(socket, level, name, &value, socklen_t(MemoryLayout<Int32>.size))
        }
    }

    private func shakeHands(until deadline: Int) throws(APIFailure) {
        let input = UnsafeMutableRawBufferPointer.allocate(byteCount: 16_384, alignment: 8)
        defer { input.deallocate() }
        while let session {
            let progress = session.handshake()
            try flush(until: deadline)
            switch progress {
            case .done: return
            case .failed: throw broken(session.failure ?? "TLS handshake")
            case .wantsInput:
                let count = try read(into: input, until: deadline)
                guard count > 0, let base = input.baseAddress else { throw broken("it ends the TLS handshake") }
                channel.setInput(base, count: count)
            }
        }
    }
}
