internal import CLinux
internal import EventLoop
internal import MeshModel

/// The rules that bring all TCP of a pod's programs back into the pod (``CaptureMode/bpfRoute``), where nothing marks it: by
/// ``CapturedRoutes``, but for what ztund sends and for destinations that are left alone.
struct RouteSelection {
    let namespace: NetworkNamespace
    /// Destinations that are left alone, as they are installed.
    private var installed: Set<IPPrefix> = []
    /// Metadata services and the node itself: never captured.
    private static let linkLocal = [
        IPPrefix(IPAddress(v4: 0xa9fe_0000), length: 16), IPPrefix(IPAddress(high: 0xfe80 << 48, low: 0), length: 10),
    ].compactMap(\.self)

    init(namespace: NetworkNamespace) {
        self.namespace = namespace
    }

    /// Puts all rules in place, the one that selects last; what is there already stays.
    ///
    /// - Parameters:
    ///   - sources: whose connections reach applications directly; the answers must find out, so connections of the pod to
    ///     these addresses are left alone too.
    ///   - families: those in which the pod has routes back.
    /// - Returns: what was missing, for a report.
    mutating func install(_ sources: [IPPrefix], families: Set<Bool>) throws(CaptureFailure) -> [String] {
        var added: [String] = []
        let wanted = Set(sources + Self.linkLocal)
        for ipv6 in families.sorted(by: { !$0 && $1 }) {
            let name = ipv6 ? "IPv6" : "IPv4"
            var rules = [Self.landing, Self.own]
            rules += wanted.filter { $0.address.isIPv4 != ipv6 }.map { Self.bypass($0) }
            rules.append(Self.selection)
            for rule in rules {
                let isNew = try act("add the \(name) rule of preference \(rule.priority)") {
                    withUnsafePointer(to: rule) { zt_add_rule(ipv6 ? 1 : 0, $0) }
                }
                if isNew { added.append("\(name) rule \(rule.priority)") }
            }
            let works = try act("look up a route") { zt_marked_route_is_local(ipv6 ? 1 : 0, 0) }
            let isFree = try !act("look up a route") { zt_marked_route_is_local(ipv6 ? 1 : 0, CaptureMark.peer) }
            guard works, isFree else {
                throw CaptureFailure(
                    "\(name) connections of the pod are not brought back, or those of ztund are: another rule stands before "
                        + "ours or table \(CaptureRoute.capturedTable) holds a foreign route; see `ip rule` in its network "
                        + "namespace")
            }
        }
        for prefix in installed.subtracting(wanted) {
            _ = try act("remove a rule of preference \(CaptureRoute.bypassPriority)") {
                withUnsafePointer(to: Self.bypass(prefix)) { zt_remove_rule(prefix.address.isIPv4 ? 0 : 1, $0) }
            }
        }
        installed = wanted
        return added
    }

    /// Takes away all rules, the one that selects first; harmless where there are none.
    mutating func remove() throws(CaptureFailure) {
        for priority in Self.priorities {
            for ipv6 in [false, true] {
                for _ in 0..<1024 {
                    let removed = try act("remove a rule of preference \(priority)") {
                        zt_remove_own_rule(ipv6 ? 1 : 0, priority)
                    }
                    if !removed { break }
                }
            }
        }
        installed = []
    }

    /// In the order of removal.
    static let priorities = [
        CaptureRoute.selectedPriority, CaptureRoute.bypassPriority, CaptureRoute.ownPriority,
        CaptureRoute.afterSelectedPriority,
    ]

    private static var landing: zt_policy_rule { rule(CaptureRoute.afterSelectedPriority) }

    private static var own: zt_policy_rule {
        var rule = rule(CaptureRoute.ownPriority, to: CaptureRoute.afterSelectedPriority)
        rule.mark = CaptureMark.peer
        return rule
    }

    private static var selection: zt_policy_rule {
        var rule = rule(CaptureRoute.selectedPriority)
        rule.table = CaptureRoute.capturedTable
        rule.local_tcp = 1
        return rule
    }

    private static func bypass(_ prefix: IPPrefix) -> zt_policy_rule {
        var rule = rule(CaptureRoute.bypassPriority, to: CaptureRoute.afterSelectedPriority)
        withUnsafeMutableBytes(of: &rule.destination) { $0.copyBytes(from: InterfaceAddress.bytes(of: prefix.address)) }
        rule.length = UInt8(prefix.length)
        return rule
    }

    private static func rule(_ priority: UInt32, to target: UInt32 = 0) -> zt_policy_rule {
        var rule = zt_policy_rule()
        rule.priority = priority
        rule.target = target
        return rule
    }

    private func act(_ doing: String, _ call: () -> Int32) throws(CaptureFailure) -> Bool {
        do throws(SystemError) {
            return try namespace.run { () throws(SystemError) in
                let result = call()
                // A kernel without IPv6 has nothing of it to remove.
                return result == -97 ? 0 : try SystemError.check("netlink", result)
            } > 0
        } catch {
            throw CaptureFailure("\(doing) in its network namespace", error)
        }
    }
}
