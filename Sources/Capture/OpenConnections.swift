internal import EventLoop

/// The TCP connections with others that a pod has open.
package enum OpenConnections {
    /// How many there are; nil when the kernel does not say.
    static func count(in namespace: NetworkNamespace) -> Int? {
        let tables = ["/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"].compactMap { path in
            try? namespace.run { () throws(SystemError) in try PodSockets.read(path) }
        }
        return tables.isEmpty ? nil : tables.map { count(inTable: $0) }.reduce(0, +)
    }

    /// Connections of a `/proc/net/tcp` or `tcp6` table in the state ESTABLISHED (01) whose two ends differ and of which neither
    /// is a loopback address.
    package static func count(inTable table: String) -> Int {
        table.split(separator: "\n").dropFirst().count { line in
            let fields = line.split(separator: " ", maxSplits: 4)
            guard fields.count > 3, fields[3] == "01" else { return false }
            let ends = [fields[1], fields[2]].map { $0.split(separator: ":").first ?? "" }
            return ends[0] != ends[1] && !ends.contains { isLoopback($0) }
        }
    }

    /// Words of four bytes in the machine's own order, here the little end first: 0100007F is 127.0.0.1.
    private static func isLoopback(_ address: Substring) -> Bool {
        if address.utf8.count == 8 { return address.hasSuffix("7F") }
        return address == "00000000000000000000000001000000"
            || address.hasPrefix("0000000000000000FFFF0000")
                && address.hasSuffix("7F")
    }
}
