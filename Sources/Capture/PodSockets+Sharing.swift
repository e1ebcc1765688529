internal import CLinux
internal import EventLoop
internal import Telemetry

extension PodSockets {
    /// The inodes of the outbound listeners that this process opened, the latest 4,096: workers may hold some for a moment
    /// after their pod left.
    private static let own = Lock<[UInt64]>([])

    /// Remembers a listener as this process's own.
    static func remember(_ listener: Int32) {
        var device: UInt64 = 0
        var inode: UInt64 = 0
        guard zt_identity(listener, &device, &inode) == 0 else { return }
        own.withLock { inodes in
            if inodes.count == 4096 { inodes.removeFirst() }
            inodes.append(inode)
        }
    }

    /// Whether another process listens on our port too, which only another ztund does: the one that takes over from us.
    var isShared: Bool {
        let own = Self.own.withLock { $0 }
        return Self.outboundListeners(in: namespace).contains { !own.contains($0) }
    }

    /// Whether a ztund listens in a namespace: on our outbound port, or, in BPF modes, on any port with the mark that only a
    /// ztund's outbound listener has.
    static func isServed(_ namespace: NetworkNamespace) -> Bool {
        !outboundListeners(in: namespace).isEmpty || markedListeners(in: namespace) > 0
    }

    /// How many sockets listen in a namespace with the mark of a BPF mode's outbound listener, this process's own among them.
    static func markedListeners(in namespace: NetworkNamespace) -> Int32 {
        let found = try? namespace.run { () throws(SystemError) in
            try SystemError.check("sock_diag", zt_marked_listeners(CaptureMark.captured))
        }
        return found ?? 0
    }

    private static func outboundListeners(in namespace: NetworkNamespace) -> [UInt64] {
        ["/proc/thread-self/net/tcp6", "/proc/thread-self/net/tcp"].flatMap { path in
            let table = try? namespace.run { () throws(SystemError) in try read(path) }
            return listeners(on: CapturePort.outbound, in: table ?? "")
        }
    }

    /// Listening sockets come first in these tables, so that the beginning is enough.
    private static let tableLimit = 1 << 18

    /// The beginning of a table of sockets, 256 KiB.
    static func read(_ path: String) throws(SystemError) -> String {
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

    /// The inodes of a `/proc/net/tcp` table's sockets that are in the state LISTEN (0A) on the port.
    package static func listeners(on port: UInt16, in table: String) -> [UInt64] {
        let digits = String(port, radix: 16, uppercase: true)
        let suffix = ":" + String(repeating: "0", count: 4 - digits.count) + digits
        return table.split(separator: "\n").dropFirst().compactMap { line in
            let fields = line.split(separator: " ")
            guard fields.count > 9, fields[1].hasSuffix(suffix), fields[3] == "0A" else { return nil }
            return UInt64(fields[9])
        }
    }
}
