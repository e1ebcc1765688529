internal import EventLoop

/// One kernel setting that capture changes in a pod's network namespace, and the value it had before.
struct PodSetting {
    /// A file below `/proc/sys/net`.
    let path: String
    /// What capture wants there.
    let wanted: String
    /// The value before ours; nil when it was ours already or is not set yet.
    private var before: String?

    init(_ path: String, _ wanted: String) {
        self.path = path
        self.wanted = wanted
    }

    /// Connections that wait at a closing listener move to the next one: no refusal while ztund is replaced (Linux 5.14).
    static let migrateRequests = PodSetting("/proc/sys/net/ipv4/tcp_migrate_req", "1")

    /// What conntrack does in a pod whose rules are redirections.
    ///
    /// Only a SYN makes an entry: connections from before enrolment stay out of its hands, and nobody can make an entry
    /// without redirection by a stray segment. A segment outside the window is still translated; untranslated it would
    /// meet no socket, and the answer would reset a good connection.
    static let conntrack = [
        PodSetting("/proc/sys/net/netfilter/nf_conntrack_tcp_loose", "0"),
        PodSetting("/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal", "1"),
    ]

    /// The application's end of a connection from ztund takes over its mark, so that its answers are routed back by the
    /// socket's own cached route. Without it the rules set the mark on every packet and each is routed anew: a fifth of
    /// the node proxy's cost of a download (docs/performance.md). Both families, in spite of its path.
    static let acceptMark = PodSetting("/proc/sys/net/ipv4/tcp_fwmark_accept", "1")

    /// Where routes select what the pod opens, the way back to a client is one of ours too, and the kernel takes what comes from
    /// there for a packet that pretends to come from the pod itself. A strict reverse path filter would find another interface.
    static func reversePath(in namespace: NetworkNamespace) -> [PodSetting] {
        let folder = "/proc/sys/net/ipv4/conf"
        let names = try? namespace.run { () throws(SystemError) in NamespaceCensus.entries(of: folder) }
        let isStrict = (names ?? []).contains { PodSettings.read("\(folder)/\($0)/rp_filter", in: namespace) == "1" }
        let accept = PodSetting("\(folder)/all/accept_local", "1")
        return isStrict ? [accept, PodSetting("\(folder)/all/rp_filter", "2")] : [accept]
    }

    /// All that capture may have changed in a namespace, with the kernel's own default.
    static var defaults: [(setting: PodSetting, value: String)] {
        [(migrateRequests, "0"), (acceptMark, "0"), (conntrack[0], "1"), (conntrack[1], "0")]
            + [(PodSetting("/proc/sys/net/ipv4/conf/all/accept_local", "1"), "0")]
            + reflectMarks.map { ($0, "0") }
    }

    /// A reset from a closed port of the application carries the mark of what it answers, so that it finds back to ztund
    /// instead of leaving towards the client whose address ztund borrowed.
    static let reflectMarks = [
        PodSetting("/proc/sys/net/ipv4/fwmark_reflect", "1"), PodSetting("/proc/sys/net/ipv6/fwmark_reflect", "1"),
    ]

    /// Sets it; does nothing when it is set already, or when this kernel does not have it.
    ///
    /// - Parameter record: knows the value before ours where a killed ztund has set it, and is told where we do.
    /// - Returns: whether that changed it.
    mutating func apply(in namespace: NetworkNamespace, _ record: SettingsRecord?) throws(CaptureFailure) -> Bool {
        let (path, isFirst) = (path, before == nil)
        do throws(SystemError) {
            let found = try PodSettings.set(path, to: wanted, in: namespace) { found in
                if isFirst { record?.note(path, found) }
            }
            if isFirst { before = found == wanted ? record?.values[path] : found }
            return found != nil && found != wanted
        } catch {
            throw CaptureFailure("write \(wanted) to \(path) in its network namespace", error)
        }
    }

    /// Writes down the value before ours, for the ztund that comes after this one.
    func hand(to pod: inout PodInheritance) {
        if let before { pod.settings[path] = before }
    }

    /// Takes over the value before ours from the ztund that came before this one.
    mutating func adopt(_ pod: PodInheritance) {
        before = pod.settings[path]
    }

    /// Gives it back the value it had, as far as that is possible.
    mutating func restore(in namespace: NetworkNamespace) {
        if let before { try? PodSettings.write(before, to: path, in: namespace) }
        before = nil
    }
}
