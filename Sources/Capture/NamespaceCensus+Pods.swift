internal import Glibc

extension NamespaceCensus {
    /// A network namespace that may be a pod's.
    package struct Candidate: Sendable, Hashable {
        package let identity: NetworkNamespace.Identity
        /// A path to it, one with a name where there is one.
        package let path: String
        /// Where it was found, for a person: its path, or a pod's UID and a process.
        package let label: String
    }

    /// The namespaces that a folder leads to: those that have a name in it or, where it is a folder of control groups, those
    /// of the processes in the groups below it that name a pod's UID.
    ///
    /// - Returns: nil when there is no such folder.
    package static func candidates(in folder: String) -> [Candidate]? {
        guard access(folder, R_OK | X_OK) == 0 else { return nil }
        var found: [Candidate] = []
        if access("\(folder)/cgroup.procs", F_OK) == 0 {
            let names = named()
            search(folder, uid: nil, depth: 0) { uid, pid in
                let process = "/proc/\(pid)/ns/net"
                guard let identity = NetworkNamespace.identity(atPath: process) else { return }
                found.append(
                    Candidate(
                        identity: identity, path: names[identity] ?? process, label: "pod UID \(uid), process \(pid)"))
            }
        } else {
            for name in entries(of: folder).sorted() {
                let path = "\(folder)/\(name)"
                guard let identity = NetworkNamespace.identity(atPath: path) else { continue }
                found.append(Candidate(identity: identity, path: path, label: escaped(path)))
            }
        }
        var seen: Set<NetworkNamespace.Identity> = []
        return found.filter { seen.insert($0.identity).inserted }
    }

    /// The pod UID that a control group's name has, as kubelet writes it: `pod0a1b…`, `kubepods-burstable-pod0a1b….slice`.
    package static func podUID(inGroup name: some StringProtocol) -> String? {
        let stem = name.hasSuffix(".slice") ? String(name.dropLast(6)) : String(name)
        guard let word = stem.split(separator: "-pod", omittingEmptySubsequences: false).last else { return nil }
        var uid = word.count < stem.count ? String(word) : stem
        if uid.hasPrefix("pod") { uid = String(uid.dropFirst(3)) }
        uid = String(uid.map { $0 == "_" ? "-" : $0 })
        let isHex = uid.allSatisfy { $0 == "-" || ($0.isASCII && $0.isHexDigit) }
        let digits = uid.filter { $0 != "-" }.count
        return isHex && digits == 32 && (uid.count == 32 || uid.count == 36) ? uid : nil
    }

    /// Visits one process of each pod's groups; kubelet nests at most a handful of levels.
    private static func search(_ folder: String, uid: String?, depth: Int, _ visit: (String, Int32) -> Void) {
        if let uid, let pid = firstProcess(folder) { visit(uid, pid) }
        guard depth < 8 else { return }
        for name in entries(of: folder).sorted() {
            var information = stat()
            let path = "\(folder)/\(name)"
            guard lstat(path, &information) == 0, information.st_mode & S_IFMT == S_IFDIR else { continue }
            search(path, uid: uid ?? podUID(inGroup: name), depth: depth + 1, visit)
        }
    }

    private static func firstProcess(_ group: String) -> Int32? {
        let file = open("\(group)/cgroup.procs", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var buffer = [UInt8](repeating: 0, count: 64)
        let count = read(file, &buffer, buffer.count)
        return Int32(String(decoding: buffer.prefix(max(0, count)).prefix { $0 != 10 }, as: UTF8.self))
    }

    /// Paths with a name, by what they lead to.
    private static func named() -> [NetworkNamespace.Identity: String] {
        var names: [NetworkNamespace.Identity: String] = [:]
        for folder in folders {
            for name in entries(of: folder) {
                let path = "\(folder)/\(name)"
                if let identity = NetworkNamespace.identity(atPath: path) { names[identity] = names[identity] ?? path }
            }
        }
        return names
    }
}
