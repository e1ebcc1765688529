internal import CaptureBPF
internal import EventLoop
internal import MeshModel

/// The BPF programs and maps of this node: one object for all pods, used by the control thread alone.
///
/// Programs, links and maps live in a folder of the BPF file system and outlast the process: without a ztund an enrolled pod
/// stays closed. A later ztund takes them over.
final class BPFPrograms {
    /// The cgroup whose processes' connects are looked at: one above all pods, or the root.
    ///
    /// Nil before ``attach(to:)``, and where connects are not looked at.
    private(set) var cgroup: String?
    /// Whether the cgroup may be looked for again when it is gone.
    private var isFound = false
    private let handle: OpaquePointer
    private let folder: String
    /// The pods that this process enrolled or took over.
    private var own: Set<UInt64> = []
    /// The addresses of each pod, 16 bytes each; nil where the map has to be read.
    private var addressesByPod: [UInt64: [UInt8]]?

    /// Loads the programs.
    ///
    /// - Parameter sources: those that reach applications directly; nil where only what an earlier ztund left is to be released.
    init(folder: String, sources: [IPPrefix]?, probeCgroup: String?) throws(CaptureFailure) {
        var result: Int32 = 0
        guard let handle = zt_capture_open(folder, &result) else {
            throw Self.unopened(folder, SystemError("bpf", -result))
        }
        self.handle = handle
        self.folder = folder
        do throws(CaptureFailure) {
            if let sources { try set(sources: sources) }
            if let probeCgroup {
                let name = "watch the probes of the cgroup \"\(escaped(probeCgroup))\""
                try Self.check(name, zt_capture_attach_probe(handle, probeCgroup))
            }
            zt_capture_forget_dead_pods(handle)
        } catch {
            removeFolderIfUnused()
            throw error
        }
    }

    deinit {
        zt_capture_close(handle)
    }

    /// Attaches the programs that look at connects.
    ///
    /// - Parameter named: the cgroup above all pods; nil to look for it.
    func attach(to named: String?) throws(CaptureFailure) {
        let place: String
        if let named { place = named } else { place = try PodCgroup.find() }
        try Self.check(
            "attach to connects in the cgroup \"\(escaped(place))\"", zt_capture_attach_connect(handle, place))
        cgroup = place
        isFound = named == nil
    }

    /// Whether a ztund has left maps in a folder.
    static func isPinned(in folder: String) -> Bool { zt_capture_is_pinned(folder) == 1 }

    private static func unopened(_ folder: String, _ error: SystemError) -> CaptureFailure {
        switch error.name {
        case "ENOTSUP", "EOPNOTSUPP", "ENOENT":
            CaptureFailure(
                "\"\(escaped(folder))\" is not in a BPF file system; mount one: mount -t bpf bpf /sys/fs/bpf")
        case "EBUSY":
            CaptureFailure("\"\(escaped(folder))\" is being removed by somebody (ztund node cleanup?)")
        default:
            failure("load the BPF programs", error)
        }
    }

    private static func failure(_ doing: String, _ error: SystemError) -> CaptureFailure {
        let words = String(cString: zt_capture_error()).split(separator: " ").joined(separator: " ")
        let missing = error.name == "EPERM" ? "ztund needs the capabilities BPF, NET_ADMIN and SYS_ADMIN" : ""
        return CaptureFailure(doing, error, hint: words.isEmpty ? missing : "libbpf says: \(escaped(words))")
    }

    @discardableResult
    private static func check(_ doing: String, _ result: Int32) throws(CaptureFailure) -> Int32 {
        guard result >= 0 else { throw failure(doing, SystemError("bpf", -result)) }
        return result
    }

    // MARK: - The node

    /// Puts the node's programs back where they were attached; what was missing, in words.
    func repair() throws(CaptureFailure) -> [String] {
        guard let cgroup, zt_capture_connect_is_attached(handle, cgroup) == 0 else { return [] }
        // The cgroup itself may be gone, and another be the pods' parent now.
        try attach(to: isFound ? nil : cgroup)
        return ["connect programs"]
    }

    /// Pins the maps again where somebody removed them, so that a later ztund finds the pods; what was missing, in words.
    func repin() throws(CaptureFailure) -> [String] {
        try Self.check("pin the BPF maps again", zt_capture_repin(handle)) > 0 ? ["pins"] : []
    }

    /// Names of other programs that act on connects of the same cgroup, such as a socket load balancer's: those that run
    /// before ours and those that run after it.
    var foreignPrograms: (before: [String], after: [String]) {
        var found = zt_foreign_programs()
        guard let cgroup, zt_capture_foreign_programs(handle, cgroup, &found) == 0 else { return ([], []) }
        return (
            withUnsafeBytes(of: found.before) { Self.names(in: $0) },
            withUnsafeBytes(of: found.after) { Self.names(in: $0) }
        )
    }

    private static func names(in bytes: UnsafeRawBufferPointer) -> [String] {
        let text = String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        return Array(Set(text.split(separator: " ").map { escaped($0) })).sorted()
    }

    /// Attaches what pods with the flag ``PodFlags/rewrite`` need; whether it was not there.
    func attachRewriting() throws(CaptureFailure) -> Bool {
        guard let cgroup, zt_capture_rewriting_is_attached(handle, cgroup) == 0 else { return false }
        try Self.check(
            "attach to connections in the cgroup \"\(escaped(cgroup))\"", zt_capture_attach_rewriting(handle, cgroup))
        return true
    }

    /// Where connections wanted to go that were rewritten.
    func rewrittenConnections() throws(CaptureFailure) -> RewrittenConnections {
        let map = zt_capture_rewritten_map(handle)
        return RewrittenConnections(Descriptor(owning: try Self.check("share the map of rewritten connections", map)))
    }

    /// The addresses of its own to which a pod's connections are sent where they are rewritten; whether that changed them.
    func set(targets: (v4: IPAddress?, v6: IPAddress?), of pod: UInt64) throws(CaptureFailure) -> Bool {
        let none = [UInt8](repeating: 0, count: 16)
        let v4 = targets.v4.map { InterfaceAddress.bytes(of: $0) } ?? none
        let v6 = targets.v6.map { InterfaceAddress.bytes(of: $0) } ?? none
        return try Self.check("note the pod's address", zt_capture_set_targets(handle, pod, v4, v6)) > 0
    }

    /// The addresses that a probe may come from.
    func set(nodeAddresses: [InterfaceAddress]) throws(CaptureFailure) {
        let bytes = nodeAddresses.flatMap(\.bytes)
        try Self.check(
            "note the node's addresses", zt_capture_set_node_addresses(handle, bytes, Int32(nodeAddresses.count)))
    }

    private func set(sources: [IPPrefix]) throws(CaptureFailure) {
        let bytes = sources.flatMap { InterfaceAddress.bytes(of: $0.address) }
        let lengths = sources.map { UInt8($0.address.isIPv4 ? $0.length + 96 : $0.length) }
        try Self.check("note the probe sources", zt_capture_set_sources(handle, bytes, lengths, Int32(sources.count)))
    }

    /// Forgets pods whose namespaces are gone: until then they stay closed, whatever became of their paths.
    func forgetDeadPods() {
        if zt_capture_forget_dead_pods(handle) > 0 { addressesByPod = nil }
    }

    /// Takes everything out of the kernel unless pods are enrolled by another ztund. Pods of ours that are still enrolled are
    /// those whose namespaces were lost: whoever may live on in one is free again, as at any orderly end.
    func removeIfUnused() {
        for pod in own {
            try? release(pod)
            _ = try? set(addresses: [], of: pod)
        }
        removeFolderIfUnused()
    }

    private func removeFolderIfUnused() {
        if zt_capture_remove_if_unused(handle) == 1 { BPFFolder.removeEmptyRoot(above: folder) }
    }

    // MARK: - Pods

    /// The pods that are enrolled, by whomever, as the cookies of their namespaces.
    var pods: [UInt64] {
        var cookies = [UInt64](repeating: 0, count: 2048)
        let count = zt_capture_pods(handle, &cookies, Int32(cookies.count))
        return Array(cookies.prefix(max(0, Int(count))))
    }

    /// Says which addresses are the pod's own; whether that changed anything.
    func set(addresses: [InterfaceAddress], of pod: UInt64) throws(CaptureFailure) -> Bool {
        let known = knownAddresses()[pod] ?? []
        let wanted = addresses.flatMap(\.bytes)
        let result = zt_capture_set_addresses(
            handle, pod, wanted, Int32(addresses.count), known, Int32(known.count / 16))
        // After a failure nobody knows how many of them were written.
        if result < 0 { addressesByPod = nil } else { addressesByPod?[pod] = wanted.isEmpty ? nil : wanted }
        return try Self.check("note the pod's addresses", result) > 0
    }

    /// What the map of addresses holds: read once, and again when somebody else may have written there.
    private func knownAddresses() -> [UInt64: [UInt8]] {
        if let addressesByPod { return addressesByPod }
        var found = [zt_capture_address](repeating: zt_capture_address(), count: 8192)
        let count = zt_capture_addresses(handle, &found, Int32(found.count))
        var known: [UInt64: [UInt8]] = [:]
        for one in found.prefix(max(0, Int(count))) {
            withUnsafeBytes(of: one.ip) { known[one.pod, default: []].append(contentsOf: $0) }
        }
        addressesByPod = known
        return known
    }

    /// Where a pod's connections go; what changed is counted.
    @discardableResult
    func set(listeners: PodSockets, of pod: UInt64) throws(CaptureFailure) -> Int {
        var changes = 0
        for (kind, socket) in [
            (ZT_CAPTURE_OUTBOUND, listeners.outbound.number), (ZT_CAPTURE_INBOUND, listeners.inbound.number),
            (ZT_CAPTURE_TUNNEL, listeners.tunnel.number),
        ] {
            changes += Int(
                try Self.check(
                    "hand its listeners to the kernel",
                    zt_capture_set_listener(handle, pod, Int32(kind), socket)))
        }
        return changes
    }

    /// The cookie of the socket that gets what the pod opens; nil when there is none.
    func outboundListener(of pod: UInt64) -> UInt64? {
        var cookie: UInt64 = 0
        guard zt_capture_listener(handle, pod, Int32(ZT_CAPTURE_OUTBOUND), &cookie) >= 0, cookie != 0 else {
            return nil
        }
        return cookie
    }

    /// Attaches the lookup program in the pod's namespace, in place of an earlier one.
    func attachLookup(in namespace: NetworkNamespace, pod: UInt64) throws(CaptureFailure) {
        let number = namespace.descriptor.number
        try Self.check(
            "attach to the pod's network namespace",
            zt_capture_attach_lookup(handle, pod, number, namespace.identity.inode))
    }

    func hasLookup(in namespace: NetworkNamespace, pod: UInt64) -> Bool {
        zt_capture_lookup_is_attached(handle, pod, namespace.identity.inode) == 1
    }

    /// From now on the pod's connects are captured, or refused where nobody listens.
    func enrol(_ pod: UInt64, _ flags: PodFlags) throws(CaptureFailure) {
        own.insert(pod)
        try Self.check("enrol the pod", zt_capture_set_pod(handle, pod, flags.rawValue))
    }

    /// How the programs treat a pod.
    struct PodFlags: OptionSet {
        let rawValue: UInt32
        /// While nobody serves the pod its connections go through uncaptured.
        static let failOpen = PodFlags(rawValue: UInt32(ZT_CAPTURE_FAIL_OPEN))
        /// What it opens is sent to an address of its own instead of being marked.
        static let rewrite = PodFlags(rawValue: UInt32(ZT_CAPTURE_REWRITE))
    }

    /// The flags of an enrolled pod.
    func flags(of pod: UInt64) -> PodFlags { PodFlags(rawValue: zt_capture_pod_flags(handle, pod)) }

    /// Takes over a pod that is enrolled.
    func adopt(_ pod: UInt64) {
        own.insert(pod)
        // Its ztund may have written after we read.
        addressesByPod = nil
    }

    /// Another ztund has taken a pod over: it stays enrolled when this process ends.
    func disown(_ pod: UInt64) { own.remove(pod) }

    func isEnrolled(_ pod: UInt64) -> Bool { zt_capture_has_pod(handle, pod) == 1 }

    /// Lets the pod go: connects first, then what reaches it.
    func release(_ pod: UInt64) throws(CaptureFailure) {
        try Self.check("release the pod", zt_capture_clear_pod(handle, pod))
        own.remove(pod)
        try Self.check("detach from the pod's network namespace", zt_capture_detach_lookup(handle, pod))
        for kind in [ZT_CAPTURE_OUTBOUND, ZT_CAPTURE_INBOUND, ZT_CAPTURE_TUNNEL] {
            try Self.check("take back its listeners", zt_capture_clear_listener(handle, pod, Int32(kind)))
        }
        try Self.check("forget its address", zt_capture_clear_targets(handle, pod))
    }
}
