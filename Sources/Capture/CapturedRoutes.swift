internal import CLinux
internal import EventLoop
internal import MeshModel

/// The routing that brings what a pod's programs open back into the pod, where the lookup program finds it: packets with
/// ``CaptureMark/captured`` are delivered locally, with the source address that they would have had outside.
struct CapturedRoutes {
    let namespace: NetworkNamespace
    /// What is installed, so that a change of the pod's addresses replaces it.
    private var installed: Set<Route> = []
    private static let loopback: UInt32 = 1

    /// One route of the table: by interface, so that a program which binds itself to one finds it.
    private struct Route: Hashable {
        let interface: UInt32
        let source: IPAddress

        var isIPv6: Bool { !source.isIPv4 }
        /// lo comes first for whoever is not bound.
        var metric: UInt32 { interface == CapturedRoutes.loopback ? 1 : 1000 + interface }
    }

    init(namespace: NetworkNamespace) {
        self.namespace = namespace
    }

    /// Puts rules and routes in place for these addresses; what is there already stays.
    ///
    /// - Returns: what was missing, for a report.
    mutating func install(_ addresses: [InterfaceAddress]) throws(CaptureFailure) -> [String] {
        var added: [String] = []
        var wanted: Set<Route> = []
        for ipv6 in [false, true] {
            let own = addresses.filter { $0.ip.isIPv4 != ipv6 && $0.isGlobal }
            guard let source = try source(of: own, ipv6: ipv6) else { continue }
            wanted.insert(Route(interface: Self.loopback, source: source.ip))
            for interface in Set(own.map(\.interface)) {
                let from = own.first { $0.interface == interface } ?? source
                wanted.insert(Route(interface: interface, source: source.interface == interface ? source.ip : from.ip))
            }
        }
        for route in wanted.sorted(by: { ($0.metric, $0.source) < ($1.metric, $1.source) }) {
            let name = route.isIPv6 ? "IPv6" : "IPv4"
            // Another source on the same interface: replaced in one step, so that nothing finds a gap.
            let isChanged = installed.contains {
                $0.interface == route.interface && $0.isIPv6 == route.isIPv6 && $0 != route
            }
            let changed = try act("add the \(name) route of table \(CaptureRoute.capturedTable)") {
                change(isChanged ? Int32(ZT_REPLACE) : Int32(ZT_ADD), route)
            }
            if changed { added.append("\(name) capture route") }
        }
        let kept = Set(wanted.map { [$0.interface, $0.isIPv6 ? 1 : 0] })
        for route in installed where !kept.contains([route.interface, route.isIPv6 ? 1 : 0]) {
            _ = try act("remove a route of table \(CaptureRoute.capturedTable)") { change(Int32(ZT_REMOVE), route) }
        }
        installed = wanted
        for ipv6 in Set(wanted.map(\.isIPv6)) { try installRule(ipv6, &added) }
        return added
    }

    private func installRule(_ ipv6: Bool, _ added: inout [String]) throws(CaptureFailure) {
        let name = ipv6 ? "IPv6" : "IPv4"
        let changed = try act("add the \(name) rule of table \(CaptureRoute.capturedTable)") { rule(add: true, ipv6) }
        if changed { added.append("\(name) capture rule") }
        let works = try act("look up a route") { zt_marked_route_is_local(ipv6 ? 1 : 0, CaptureMark.captured) }
        guard works else {
            throw CaptureFailure(
                "\(name) packets with mark 0x\(String(CaptureMark.captured, radix: 16)) are not delivered locally: "
                    + "another rule stands before ours or table \(CaptureRoute.capturedTable) holds a foreign "
                    + "route; see `ip rule` in its network namespace")
        }
    }

    private func change(_ action: Int32, _ route: Route) -> Int32 {
        zt_captured_route(
            action, route.isIPv6 ? 1 : 0, CaptureRoute.capturedTable, route.interface, route.metric,
            InterfaceAddress.bytes(of: route.source))
    }

    /// Takes away all of ours, in both families.
    mutating func remove() throws(CaptureFailure) {
        for ipv6 in [false, true] {
            for _ in 0..<8 {
                let removed = try act("remove a rule of table \(CaptureRoute.capturedTable)") { rule(add: false, ipv6) }
                if !removed { break }
            }
        }
        for ipv6 in [false, true] {
            _ = try act("remove the routes of table \(CaptureRoute.capturedTable)") {
                zt_flush_table(ipv6 ? 1 : 0, CaptureRoute.capturedTable)
            }
        }
        installed = []
    }

    /// The source that a connection to somewhere far away would have, or any global address of the pod.
    private func source(of own: [InterfaceAddress], ipv6: Bool) throws(CaptureFailure) -> InterfaceAddress? {
        let usual: InterfaceAddress?
        do throws(SystemError) {
            usual = try namespace.run { () throws(SystemError) in InterfaceAddress.usualSource(ipv6: ipv6) }
        } catch {
            throw CaptureFailure("enter its network namespace", error)
        }
        return own.first { $0.ip == usual?.ip } ?? own.first { $0.isGlobal }
    }

    /// The families that have routes, true for IPv6.
    var families: Set<Bool> { Set(installed.map(\.isIPv6)) }

    /// The addresses from which connections to elsewhere come, by family; what they are brought back to where they are rewritten.
    func sources(of addresses: [InterfaceAddress]) throws(CaptureFailure) -> (v4: IPAddress?, v6: IPAddress?) {
        let v4 = addresses.filter { $0.ip.isIPv4 && $0.isGlobal }
        let v6 = addresses.filter { !$0.ip.isIPv4 && $0.isGlobal }
        return (try source(of: v4, ipv6: false)?.ip, try source(of: v6, ipv6: true)?.ip)
    }

    private func rule(add: Bool, _ ipv6: Bool) -> Int32 {
        zt_fwmark_rule(
            add ? 1 : 0, ipv6 ? 1 : 0, CaptureMark.captured, CaptureRoute.capturedTable, CaptureRoute.capturedPriority)
    }

    /// True when the call says that it changed something (or found what it asked for).
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

extension InterfaceAddress {
    /// Whether connections to elsewhere can come from it: link-local ones cannot.
    fileprivate var isGlobal: Bool {
        ip.isIPv4 ? ip.v4Bits >> 16 != 0xa9fe : ip.high >> 54 != 0x3fa
    }
}
