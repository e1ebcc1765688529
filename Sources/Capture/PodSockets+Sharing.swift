internal import CLinux
internal import EventLoop

extension PodSockets {
    /// Whether another process listens on our port too, which only another ztund does: the one that takes over from us.
    var isShared: Bool {
        var listeners = 0
        for path in ["/proc/thread-self/net/tcp6", "/proc/thread-self/net/tcp"] {
            let table = try? namespace.run { () throws(SystemError) in try Self.read(path) }
            listeners += Self.listeners(on: CapturePort.outbound, in: table ?? "")
        }
        return listeners > 1
    }

    /// Listening sockets come first in these tables, so that the beginning is enough.
    private static let tableLimit = 1 << 18

    private static func read(_ path: String) throws(SystemError) -> String {
        var buffer = [CChar](repeating: 0, count: tableLimit)
        var count = 0
        // The kernel hands out a page at a time, on one open file.
        let file = Descriptor(owning: try SystemError.check("open", zt_open_read(path)))
        while count < tableLimit {
            let more = buffer.withUnsafeMutableBytes { bytes in
                Kernel.read(file.number, bytes.baseAddress.unsafelyUnwrapped + count, tableLimit - count)
            }
            if more <= 0 { break }
            count += more
        }
        return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// How many sockets of a `/proc/net/tcp` table are in the state LISTEN (0A) on the port.
    static func listeners(on port: UInt16, in table: String) -> Int {
        let digits = String(port, radix: 16, uppercase: true)
        let suffix = ":" + String(repeating: "0", count: 4 - digits.count) + digits
        return table.split(separator: "\n").dropFirst().count { line in
            let fields = line.split(separator: " ")
            return fields.count > 3 && fields[1].hasSuffix(suffix) && fields[3] == "0A"
        }
    }
}
