internal import Glibc

/// One HTTP/1.1 request to a program's Unix socket and its answer, as a state machine over a non-blocking socket.
///
/// Whatever the other side does (hang, send slowly, send garbage, never end), each step returns at once, and what is kept
/// of the answer is bounded.
struct Exchange {
    /// How an exchange ended.
    enum Outcome {
        case answered(status: Int, body: [UInt8])
        case failed(Failure)
    }

    /// Most bytes of an answer.
    static let longestAnswer = 64 << 20

    let program: ProgramName
    let path: String
    private var socket: Int32 = -1
    private var request: [UInt8]
    private var sent = 0
    private var isConnected = false
    private var answer: [UInt8] = []
    private(set) var outcome: Outcome?

    /// - Parameter socket: the name of the socket; nil for the program's usual one.
    init(
        _ program: ProgramName, directory: String, method: String, target: String, body: [UInt8] = [],
        socket name: String? = nil
    ) {
        self.program = program
        let name = name ?? program.socket
        path = directory.hasSuffix("/") ? directory + name : "\(directory)/\(name)"
        request = Array(
            "\(method) \(target) HTTP/1.1\r\nHost: \(program.rawValue)\r\nConnection: close\r\n".utf8)
        if !body.isEmpty { request += Array("Content-Type: application/json\r\n".utf8) }
        if !body.isEmpty || method == "POST" { request += Array("Content-Length: \(body.count)\r\n".utf8) }
        request += [13, 10] + body
    }

    /// What to wait for; nil when the exchange is over or only time can help.
    var interest: pollfd? {
        guard outcome == nil, isConnected else { return nil }
        let events = sent < request.count ? POLLOUT | POLLIN : POLLIN
        return pollfd(fd: socket, events: Int16(events), revents: 0)
    }

    /// Goes on as far as it can without waiting.
    mutating func step() {
        guard outcome == nil else { return }
        if !isConnected { connectSocket() }
        if isConnected, outcome == nil { sendRequest() }
        if isConnected, outcome == nil { readAnswer() }
        if outcome != nil { close() }
    }

    /// Ends the exchange because its time is over.
    mutating func expire(seconds: Int) {
        guard outcome == nil else { return }
        let what = answer.isEmpty ? "does not answer" : "has not finished its answer"
        fail(
            .notAnswering,
            "\(program.rawValue) at \(path) \(what) within \(seconds) seconds: it is overloaded or hangs; "
                + "look at its log, or at its threads with `gdb -p`, and restart it if it does not come back")
        close()
    }

    private mutating func close() {
        if socket >= 0 { Glibc.close(socket) }
        socket = -1
    }

    private mutating func fail(_ code: ExitReason, _ message: String) {
        outcome = .failed(Failure(code: code, message: message))
    }

    private mutating func connectSocket() {
        var address = sockaddr_un()
        guard path.utf8.count < MemoryLayout.size(ofValue: address.sun_path), !path.utf8.contains(0) else {
            return fail(.usage, "the path \(path) is too long for a Unix socket; use a shorter --run-dir")
        }
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        if socket < 0 {
            socket = Glibc.socket(
                AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), 0)
        }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(socket, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        if result == 0 {
            isConnected = true
            return
        }
        let name = program.rawValue
        switch errno {
        case EAGAIN, EINTR: break  // Its queue is full: tried again until the time is over.
        case ENOENT, ENOTDIR:
            fail(
                .notRunning,
                "no \(name) answers at \(path): there is no such socket; start one with `\(name) run`, "
                    + "or name its run directory with --run-dir")
        case ECONNREFUSED:
            fail(
                .notRunning,
                "no \(name) answers at \(path): the socket is left over from one that ended; "
                    + "start \(name) again, it replaces the socket")
        case EACCES, EPERM:
            fail(.notAnswering, "\(name) at \(path) may be asked by root only: run this command as root")
        case let code:
            fail(.notRunning, "no \(name) answers at \(path): \(String(cString: strerror(code)))")
        }
    }

    private mutating func sendRequest() {
        while sent < request.count {
            let count = request.withUnsafeBytes { bytes in
                bytes.baseAddress.map { send(socket, $0 + sent, bytes.count - sent, Int32(MSG_NOSIGNAL)) } ?? 0
            }
            if count > 0 {
                sent += count
            } else if errno == EINTR {
                continue
            } else {
                // A peer that closed early may have said why; reading finds out.
                if errno != EAGAIN { sent = request.count }
                return
            }
        }
    }

    private mutating func readAnswer() {
        var buffer = [UInt8](repeating: 0, count: 65536)
        while outcome == nil {
            let count = read(socket, &buffer, buffer.count)
            if count > 0 {
                answer += buffer.prefix(count)
                examine(atEnd: false)
            } else if count == 0 {
                examine(atEnd: true)
                if outcome == nil { garbled("the connection ended before the answer did") }
            } else if errno == EAGAIN {
                return
            } else if errno != EINTR {
                garbled(String(cString: strerror(errno)))
            }
        }
    }

    private mutating func garbled(_ cause: String) {
        fail(
            .notAnswering,
            "what answers at \(path) is not a \(program.rawValue) this ztun understands: \(cause); "
                + "see that both have the same version (`ztun version`)")
    }

    /// Takes the answer apart as far as it has come.
    private mutating func examine(atEnd: Bool) {
        let start = Array("HTTP/1.".utf8)
        guard answer.starts(with: start.prefix(answer.count)) else { return garbled("it does not speak HTTP") }
        guard answer.count <= Self.longestAnswer else { return garbled("its answer is endless") }
        guard let end = Self.headEnd(answer) else {
            if answer.count > 16384 { garbled("its header does not end") }
            return
        }
        let lines = String(decoding: answer[..<end], as: UTF8.self).split(separator: "\r\n")
        guard let first = lines.first?.split(separator: " "), first.count >= 2, let status = Int(first[1]) else {
            return garbled("its status line is not one")
        }
        var length: Int?
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2, parts[0].lowercased() == "content-length" else { continue }
            length = Int(parts[1].drop { $0 == " " })
            guard let length, (0...Self.longestAnswer).contains(length) else {
                return garbled("its answer has no valid length")
            }
        }
        let body = answer[(end + 4)...]
        if let length, body.count >= length {
            outcome = .answered(status: status, body: Array(body.prefix(length)))
        } else if length == nil, atEnd {
            outcome = .answered(status: status, body: Array(body))
        }
    }

    /// Sends the request and reads the head of an answer that comes bit by bit; the socket is the caller's from then on.
    mutating func openStream() throws(Failure) -> (socket: Int32, lines: [Substring], rest: [UInt8]) {
        let end = Self.now() + Int64(Self.patience) * 1000
        while outcome == nil {
            if !isConnected { connectSocket() }
            if isConnected, outcome == nil { sendRequest() }
            if isConnected, outcome == nil {
                if let head = readHead() { return head }
            }
            let left = end - Self.now()
            guard left > 0 else { break }
            var waiting = [interest].compactMap(\.self)
            _ = poll(&waiting, nfds_t(waiting.count), Int32(waiting.isEmpty ? min(left, 20) : left))
        }
        expire(seconds: Self.patience)
        close()
        if case .failed(let failure) = outcome { throw failure }
        _ = try documentBody()
        throw misunderstood("stream")
    }

    /// The head of a good answer; nil while it is not whole. Another answer is read to its end.
    private mutating func readHead() -> (socket: Int32, lines: [Substring], rest: [UInt8])? {
        var buffer = [UInt8](repeating: 0, count: 16384)
        while outcome == nil, !answer.starts(with: Array("HTTP/1.1 200 ".utf8)) || Self.headEnd(answer) == nil {
            let isOther = answer.count >= 12 && !answer.starts(with: Array("HTTP/1.1 200".utf8))
            if isOther {
                examine(atEnd: false)
                guard outcome == nil else { return nil }
                readAnswer()
                return nil
            }
            let count = read(socket, &buffer, buffer.count)
            if count > 0 {
                answer += buffer.prefix(count)
                if answer.count > 1 << 17 { garbled("its header does not end") }
            } else if count == 0 {
                garbled("the connection ended before the answer did")
            } else if errno == EAGAIN {
                return nil
            } else if errno != EINTR {
                garbled(String(cString: strerror(errno)))
            }
        }
        guard outcome == nil, let end = Self.headEnd(answer) else { return nil }
        let lines = String(decoding: answer[..<end], as: UTF8.self).split(separator: "\r\n")
        let taken = socket
        socket = -1
        return (taken, lines, Array(answer[(end + 4)...]))
    }

    private static func headEnd(_ bytes: [UInt8]) -> Int? {
        guard bytes.count >= 4 else { return nil }
        return (0...min(bytes.count - 4, 16384)).first {
            bytes[$0] == 13 && bytes[$0 + 1] == 10 && bytes[$0 + 2] == 13 && bytes[$0 + 3] == 10
        }
    }
}

extension Exchange {
    /// Seconds that all exchanges of a command have together.
    static let patience = 2

    /// Runs exchanges side by side until all are over or the time is.
    static func run(_ exchanges: inout [Exchange], patience: Int = Exchange.patience) {
        let end = now() + Int64(patience) * 1000
        while true {
            for index in exchanges.indices { exchanges[index].step() }
            guard exchanges.contains(where: { $0.outcome == nil }) else { return }
            let left = end - now()
            guard left > 0 else { break }
            var waiting = exchanges.compactMap(\.interest)
            let isConnecting = exchanges.contains { $0.outcome == nil && $0.interest == nil }
            _ = poll(&waiting, nfds_t(waiting.count), Int32(isConnecting ? min(left, 20) : left))
        }
        for index in exchanges.indices { exchanges[index].expire(seconds: patience) }
    }

    /// Monotonic milliseconds.
    private static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}
