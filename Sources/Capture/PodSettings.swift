internal import CLinux
internal import EventLoop

/// Reads and writes the kernel settings of a pod's network namespace.
///
/// `/proc/sys/net` shows the namespace of the thread that opens it, so each is read and written from inside.
enum PodSettings {
    /// Whether the pod's loopback interface has IPv6.
    static func hasIPv6(_ namespace: NetworkNamespace) -> Bool {
        read("/proc/sys/net/ipv6/conf/lo/disable_ipv6", in: namespace) == "0"
    }

    /// The range of source ports that programs are given; the kernel's default when it cannot be read.
    static func ephemeralPorts(of namespace: NetworkNamespace) -> ClosedRange<UInt16> {
        let usual: ClosedRange<UInt16> = 32768...60999
        let text = read("/proc/sys/net/ipv4/ip_local_port_range", in: namespace) ?? ""
        let bounds = text.split(whereSeparator: { $0 == "\t" || $0 == " " }).compactMap { UInt16($0) }
        return bounds.count == 2 && bounds[0] <= bounds[1] ? bounds[0]...bounds[1] : usual
    }

    /// The first line of a small file, without its end; nil when it cannot be read.
    static func read(_ path: String, in namespace: NetworkNamespace) -> String? {
        try? namespace.run { () throws(SystemError) in
            try withUnsafeTemporaryAllocation(of: CChar.self, capacity: 128) { buffer throws(SystemError) in
                // A buffer of 128 elements has a base address.
                let count = try SystemError.check("read", zt_read_file(path, buffer.baseAddress, 127))
                let line = buffer[..<Int(count)].prefix { $0 != 10 }.map { UInt8(bitPattern: $0) }
                return String(decoding: line, as: UTF8.self)
            }
        }
    }

    /// Sets a setting, unless it is so already.
    ///
    /// - Parameter note: is told what is there before that is overwritten.
    /// - Returns: what was there before; nil when this kernel does not have the setting.
    static func set(_ path: String, to value: String, in namespace: NetworkNamespace, note: (String) -> Void)
        throws(SystemError) -> String?
    {
        do throws(SystemError) {
            return try namespace.run { () throws(SystemError) in
                try withUnsafeTemporaryAllocation(of: CChar.self, capacity: 128) { buffer throws(SystemError) in
                    var obstacle: Int32 = 0
                    let opened = zt_open_setting(path, buffer.baseAddress, 128, &obstacle)
                    let file = Descriptor(owning: try SystemError.check("open", opened))
                    let line = buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
                    let found = String(decoding: line, as: UTF8.self)
                    guard found != value else { return found }
                    guard obstacle == 0 else { throw SystemError("open", obstacle) }
                    note(found)
                    try check("write", zt_write_setting(file.number, value))
                    return found
                }
            }
        } catch {
            if error.name == "ENOENT" { return nil }
            throw error
        }
    }

    static func write(_ value: String, to path: String, in namespace: NetworkNamespace) throws(SystemError) {
        try namespace.run { () throws(SystemError) in
            try check("write", zt_write_file(path, value, Int32(value.utf8.count)))
        }
    }
}
