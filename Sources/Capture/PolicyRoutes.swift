internal import CLinux
internal import EventLoop

/// The routing that brings the application's answers back to ztund: marked packets are delivered locally.
///
/// The answers are addressed to the client, whose address ztund borrowed for its dial; by the pod's own routes they would
/// leave through its interface.
struct PolicyRoutes {
    let namespace: NetworkNamespace
    let ipv6: Bool

    /// Puts rule and route of both families in place; what is there already stays.
    ///
    /// - Returns: what was missing, for a report.
    func install() throws(CaptureFailure) -> [String] {
        guard loopbackIsUp else {
            throw CaptureFailure(
                "the interface lo is down in its network namespace: the pod's network is not set up yet "
                    + "(or: ip link set lo up)")
        }
        var added: [String] = []
        for v6 in families {
            let name = v6 ? "IPv6" : "IPv4"
            let table = CaptureRoute.table
            if try act("add the \(name) route of table \(table)", { zt_local_route(1, v6 ? 1 : 0, table) }) {
                added.append("\(name) route")
            }
            if try act("add the \(name) rule of table \(table)", { rule(add: true, v6) }) {
                added.append("\(name) rule")
            }
            let works = try act("look up a route", { zt_marked_route_is_local(v6 ? 1 : 0, CaptureMark.application) })
            guard works else {
                throw CaptureFailure(
                    "\(name) packets with mark 0x\(String(CaptureMark.application, radix: 16)) are not delivered locally: "
                        + "another rule stands before ours or table \(table) holds a foreign route; "
                        + "see `ip rule` and `ip route show table \(table)` in its network namespace")
            }
        }
        return added
    }

    /// Takes away all of ours, in both families.
    func remove() throws(CaptureFailure) {
        for v6 in families {
            // More than one only if someone copied it; bounded all the same.
            for _ in 0..<8 {
                let removed = try act("remove a rule of table \(CaptureRoute.table)") { rule(add: false, v6) }
                if !removed { break }
            }
            _ = try act("remove a route of table \(CaptureRoute.table)") {
                zt_local_route(0, v6 ? 1 : 0, CaptureRoute.table)
            }
        }
    }

    private var families: [Bool] { ipv6 ? [false, true] : [false] }

    private var loopbackIsUp: Bool {
        let up = try? namespace.run { () throws(SystemError) in try SystemError.check("ioctl", zt_loopback_is_up()) }
        return up == 1
    }

    private func rule(add: Bool, _ v6: Bool) -> Int32 {
        zt_fwmark_rule(add ? 1 : 0, v6 ? 1 : 0, CaptureMark.application, CaptureRoute.table, CaptureRoute.priority)
    }

    private func act(_ doing: String, _ call: () -> Int32) throws(CaptureFailure) -> Bool {
        do throws(SystemError) {
            return try namespace.run { () throws(SystemError) in try SystemError.check("netlink", call()) } == 1
        } catch {
            throw CaptureFailure("\(doing) in its network namespace", error)
        }
    }
}
