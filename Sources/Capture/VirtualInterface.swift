internal import CLinux
internal import EventLoop

/// Interfaces by which a pod forwards for others: bridges and TAP devices of virtual machines and nested containers.
enum VirtualInterface {
    /// The name of the first one, for a message; nil when there is none.
    static func first(in namespace: NetworkNamespace) -> String? {
        var name = [CChar](repeating: 0, count: 16)
        let found = try? namespace.run { () throws(SystemError) in
            try SystemError.check("netlink", zt_forwarding_interface(&name))
        }
        guard found == 1 else { return nil }
        return escaped(String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
    }
}
