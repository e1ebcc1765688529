internal import CLinux
internal import EventLoop

/// How many sockets a network namespace has, as `/proc/net/sockstat` tells.
enum SocketCount {
    /// TCP sockets that listen, connect or are connected, of both families; nil when the kernel does not say.
    static func tcp(in namespace: NetworkNamespace) -> Int? {
        guard let v4 = read("sockstat", in: namespace), let first = inUse("TCP", in: v4) else { return nil }
        // A kernel without IPv6 has no such file.
        return first + (read("sockstat6", in: namespace).flatMap { inUse("TCP6", in: $0) } ?? 0)
    }

    private static func read(_ name: String, in namespace: NetworkNamespace) -> String? {
        try? namespace.run { () throws(SystemError) in
            try withUnsafeTemporaryAllocation(of: CChar.self, capacity: 1024) { buffer throws(SystemError) in
                let path = "/proc/thread-self/net/\(name)"
                let count = try SystemError.check("read", zt_read_file(path, buffer.baseAddress, 1024))
                return String(decoding: buffer[..<Int(count)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
            }
        }
    }

    /// The number after `inuse` in the line of a protocol: `TCP: inuse 3 orphan 0 tw 0 alloc 9 mem 2`.
    static func inUse(_ name: String, in table: String) -> Int? {
        for line in table.split(separator: "\n") {
            let words = line.split(separator: " ")
            if words.count > 2, words[0] == name + ":", words[1] == "inuse" { return Int(words[2]) }
        }
        return nil
    }
}
