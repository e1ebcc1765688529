internal import Glibc

/// The network namespaces of a node that can be entered: those with a name in a folder, and those of its processes.
package enum NamespaceCensus {
    /// Folders in which container runtimes and `ip netns` name namespaces.
    package static let folders = ["/run/netns", "/var/run/netns", "/run/docker/netns"]

    /// One path for each namespace but ztund's own, named ones first.
    package static func paths() -> [String] {
        var seen: Set<NetworkNamespace.Identity> = []
        if let own = NetworkNamespace.identity(atPath: "/proc/self/ns/net") { seen.insert(own) }
        let named = folders.flatMap { folder in entries(of: folder).sorted().map { "\(folder)/\($0)" } }
        let processes = entries(of: "/proc").compactMap { Int32($0) }.sorted().map { "/proc/\($0)/ns/net" }
        return (named + processes).filter { path in
            guard let identity = NetworkNamespace.identity(atPath: path) else { return false }
            return seen.insert(identity).inserted
        }
    }

    /// The names in a folder; none when it cannot be read.
    static func entries(of folder: String) -> [String] {
        guard let handle = opendir(folder) else { return [] }
        defer { closedir(handle) }
        var names: [String] = []
        while let entry = readdir(handle) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }
}
