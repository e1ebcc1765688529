internal import Glibc

/// An answer of a program that comes line by line, for as long as both sides like.
///
/// The head has the usual patience; after it only the end of the connection ends the stream.
struct LineStream {
    /// Most bytes of a line; a longer one is no answer of ours.
    private static let longestLine = 1 << 20

    let program: ProgramName
    /// Fields of the head, names in lower case.
    let fields: [String: String]
    private let socket: Int32
    private var buffer: [UInt8]
    private var start = 0

    /// Asks and reads the head.
    init(_ program: ProgramName, directory: String, target: String) throws(Failure) {
        self.program = program
        var exchange = Exchange(program, directory: directory, method: "GET", target: target)
        let head = try exchange.openStream()
        socket = head.socket
        buffer = head.rest
        var fields: [String: String] = [:]
        for line in head.lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2 else { continue }
            fields[parts[0].lowercased()] = String(parts[1].drop { $0 == " " })
        }
        self.fields = fields
    }

    /// Waits for the next line; nil at the end.
    mutating func next() -> [UInt8]? {
        var searched = start
        while true {
            if let end = buffer[searched...].firstIndex(of: 10) {
                defer { start = end + 1 }
                return Array(buffer[start..<end])
            }
            buffer.removeFirst(start)
            start = 0
            searched = buffer.count
            guard buffer.count <= Self.longestLine else { return nil }
            var chunk = [UInt8](repeating: 0, count: 65536)
            let count = read(socket, &chunk, chunk.count)
            if count > 0 {
                buffer += chunk.prefix(count)
            } else if count == 0 || (errno != EINTR && errno != EAGAIN) {
                return nil
            } else if errno == EAGAIN {
                var waiting = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
                _ = poll(&waiting, 1, -1)
            }
        }
    }
}
