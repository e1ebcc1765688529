internal import CLinux
internal import CaptureBPF
internal import EventLoop

/// The gate that keeps pods from talking before they are enrolled: who may talk, in the kernel's hands.
///
/// It stands without any ztund. One object is one thread's.
package final class BootGate {
    /// Why a network namespace may talk.
    package enum Why: UInt32, Sendable {
        /// ztund captured it.
        case enrolled
        /// The node's own, or ztund's.
        case node
        /// The state says that its pod is no part of the mesh.
        case outside
        /// Somebody let it through.
        case byHand
    }

    /// One that may talk.
    package struct Entry: Sendable, Hashable {
        package let cookie: UInt64
        /// Of the network namespace.
        package let inode: UInt64
        package let why: Why
    }

    /// What it has done, and what it will.
    package struct Figures: Sendable, Hashable {
        package let refusedConnects: UInt64
        package let droppedArrivals: UInt64
        /// Nanoseconds until it opens by itself; 0 never, 1 when it has.
        package let opensIn: UInt64
    }

    /// Which halves of it stand.
    package struct Standing: OptionSet, Sendable, Hashable {
        package let rawValue: Int32
        package init(rawValue: Int32) { self.rawValue = rawValue }
        package static let connects = Standing(rawValue: Int32(ZT_GATE_CONNECTS))
        package static let arrivals = Standing(rawValue: Int32(ZT_GATE_ARRIVALS))
    }

    /// Where its pins are when nobody says otherwise.
    package static let usualFolder = "/sys/fs/bpf/ztun-gate"

    /// The folder of its pins.
    package let folder: String
    private let handle: OpaquePointer
    /// The pods that this process captured.
    private var own: Set<UInt64> = []
    private var isShut = false

    private init(_ folder: String, _ handle: OpaquePointer) {
        self.folder = folder
        self.handle = handle
    }

    deinit {
        zt_gate_close(handle)
    }

    /// Whether there is one.
    package static func isInstalled(in folder: String) -> Bool { zt_gate_is_pinned(folder) == 1 }

    /// What tells one that is there from the next; nil where there is none.
    static func identity(in folder: String) -> UInt64? {
        let inode = zt_gate_identity(folder)
        return inode == 0 ? nil : inode
    }

    /// The one that is there; nil where there is none.
    package static func open(_ folder: String) throws(CaptureFailure) -> BootGate? {
        guard isInstalled(in: folder) else { return nil }
        var result: Int32 = 0
        guard let handle = zt_gate_open(folder, &result) else { throw failure("open the boot gate", result) }
        return BootGate(folder, handle)
    }

    /// Puts it before the pods of a cgroup; an earlier one's exemptions stay.
    ///
    /// - Returns: the gate, and which halves of it this kernel can hold.
    package static func install(_ folder: String, cgroup: String) throws(CaptureFailure) -> (BootGate, Standing) {
        var result: Int32 = 0
        var standing: Int32 = 0
        guard let handle = zt_gate_install(folder, cgroup, &standing, &result) else {
            throw failure("install the boot gate at the cgroup \"\(escaped(cgroup))\"", result)
        }
        let gate = BootGate(folder, handle)
        do throws(CaptureFailure) {
            try gate.allowOwnNamespace()
        } catch {
            _ = remove(folder)
            throw error
        }
        return (gate, Standing(rawValue: standing))
    }

    /// Takes it away; whether there was one.
    package static func remove(_ folder: String) -> Bool { zt_gate_remove(folder) == 1 }

    /// Which halves stand, and the id of the cgroup they stand before.
    package var standing: (halves: Standing, cgroup: UInt64) {
        var cgroup: UInt64 = 0
        let halves = zt_gate_standing(folder, &cgroup)
        return (Standing(rawValue: halves), cgroup)
    }

    package var figures: Figures {
        var refused: UInt64 = 0
        var dropped: UInt64 = 0
        var opensIn: UInt64 = 0
        _ = zt_gate_figures(handle, &refused, &dropped, &opensIn)
        return Figures(refusedConnects: refused, droppedArrivals: dropped, opensIn: opensIn)
    }

    package var entries: [Entry] {
        var found = [zt_gate_entry](repeating: zt_gate_entry(), count: 16384)
        let count = zt_gate_entries(handle, &found, Int32(found.count))
        return found.prefix(max(0, Int(count))).map {
            Entry(cookie: $0.cookie, inode: $0.inode, why: Why(rawValue: $0.why) ?? .byHand)
        }
    }

    /// The ids of the cgroups whose processes may talk.
    package var exemptions: [UInt64] {
        var found = [UInt64](repeating: 0, count: 256)
        let count = zt_gate_exemptions(handle, &found, Int32(found.count))
        return Array(found.prefix(max(0, Int(count))))
    }

    /// Lets a namespace talk from now on.
    package func allow(_ namespace: NetworkNamespace, _ why: Why) throws(CaptureFailure) {
        guard !isShut else { return }
        let cookie = try Self.cookie(of: namespace)
        if why == .enrolled { own.insert(cookie) } else { own.remove(cookie) }
        try check("let a network namespace through the boot gate", allow(cookie, namespace.identity.inode, why))
    }

    /// Its connections are refused again from now on.
    package func forbid(_ namespace: NetworkNamespace) throws(CaptureFailure) {
        try check("close the boot gate", zt_gate_forbid(handle, try Self.cookie(of: namespace)))
    }

    /// Lets the processes of a cgroup talk, and those below it.
    package func exempt(cgroup: String) throws(CaptureFailure) {
        try check("exempt the cgroup \"\(escaped(cgroup))\" from the boot gate", zt_gate_exempt(handle, cgroup))
    }

    /// Opens by itself after that many seconds; 0 never.
    package func open(afterSeconds seconds: UInt64) throws(CaptureFailure) {
        try check("set the boot gate's time", zt_gate_set_opening(handle, seconds &* 1_000_000_000))
    }

    /// Closes it before every pod that this process captured, for good.
    func shut() {
        isShut = true
        for cookie in own { _ = zt_gate_forbid(handle, cookie) }
    }

    /// Why a namespace may talk; nil when it may not.
    func why(_ namespace: NetworkNamespace) -> Why? {
        guard let cookie = try? Self.cookie(of: namespace) else { return nil }
        return entries.first { $0.cookie == cookie }?.why
    }

    /// Forgets namespaces that are no more.
    package func purge() {
        let living = Set(
            (NamespaceCensus.paths() + ["/proc/self/ns/net"]).compactMap {
                NetworkNamespace.identity(atPath: $0)?.inode
            })
        for entry in entries where !living.contains(entry.inode) { _ = zt_gate_forbid(handle, entry.cookie) }
    }

    /// Lets the calling program's own network namespace talk, and the first process's.
    package func allowOwnNamespace() throws(CaptureFailure) {
        let socket = Descriptor(owning: zt_socket_tcp(0))
        let own = try PodSockets.namespaceCookie(of: socket.number)
        let inode = NetworkNamespace.identity(atPath: "/proc/self/ns/net")?.inode ?? 0
        try check("let the node through the boot gate", allow(own, inode, .node))
        // It is the same one in a program of the host's.
        if let node = try? NetworkNamespace(path: "/proc/1/ns/net") { try allow(node, .node) }
    }

    private func allow(_ cookie: UInt64, _ inode: UInt64, _ why: Why) -> Int32 {
        let result = zt_gate_allow(handle, cookie, inode, why.rawValue)
        // E2BIG: full of those that are gone.
        guard result == -7 else { return result }
        purge()
        return zt_gate_allow(handle, cookie, inode, why.rawValue)
    }

    private static func cookie(of namespace: NetworkNamespace) throws(CaptureFailure) -> UInt64 {
        do throws(SystemError) {
            let number = try namespace.run { () throws(SystemError) in
                try SystemError.check("socket", zt_socket_tcp(0))
            }
            let socket = Descriptor(owning: number)
            var cookie: UInt64 = 0
            _ = try SystemError.check("getsockopt", zt_netns_cookie(socket.number, &cookie))
            return cookie
        } catch {
            throw CaptureFailure("tell which network namespace it is", error)
        }
    }

    private func check(_ doing: String, _ result: Int32) throws(CaptureFailure) {
        guard result < 0 else { return }
        throw Self.failure(doing, result)
    }

    private static func failure(_ doing: String, _ result: Int32) -> CaptureFailure {
        let error = SystemError("bpf", -result)
        let words = String(cString: zt_capture_error()).split(separator: " ").joined(separator: " ")
        if error.name == "ENOTSUP" || error.name == "EOPNOTSUPP" {
            return CaptureFailure(doing, error, hint: "mount a BPF file system: mount -t bpf bpf /sys/fs/bpf")
        }
        return CaptureFailure(doing, error, hint: words.isEmpty ? "" : "libbpf says: \(escaped(words))")
    }
}
