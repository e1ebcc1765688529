package import MeshModel

/// The nftables rules of one pod, as text for `nft -f -`: one transaction, in a table of our own.
package enum NftRuleset {
    /// The table's family and name.
    package static let table = "inet ztun_capture"

    /// Replaces whatever the table holds, in one step that no packet can see half of.
    ///
    /// Only the SYN of a connection is looked at: conntrack takes connections that were open before the pod was enrolled
    /// for new ones, and redirecting their next segment would break them.
    ///
    /// - Parameter listeners: the ports that are redirected to.
    package static func install(probeSources: [IPPrefix] = [], listeners: Listeners = .usual) -> String {
        let syn = "tcp flags & (fin | syn | rst | ack) == syn"
        let peer = hex(CaptureMark.peer)
        let application = hex(CaptureMark.application)
        let inbound =
            [#"iif "lo" accept"#] + exemptions(probeSources) + [
                "tcp dport \(CapturePort.tunnel) accept",
                // Beside BPF a dial to an address that is not the pod's would come back as one of its own programs'.
                (listeners.outbound == nil ? "fib daddr type local " : "") + "\(syn) redirect to :\(listeners.inbound)",
            ]
        let outbound: String
        if let port = listeners.outbound {
            let rules = [
                "meta mark { \(peer), \(application) } accept",
                #"oif "lo" accept"#,
                "\(syn) redirect to :\(port)",
            ]
            outbound = chain("outbound", "type nat hook output priority -100", rules)
        } else {
            let rules = ["\(syn) reject with tcp reset"]
            outbound = chain("forwarded", "type filter hook forward priority 0", rules)
        }
        let replies = [
            "meta mark \(application) ct mark set \(application)",
            "ct mark \(application) ct direction reply meta mark set \(application)",
        ]
        // Tunnels are neither redirected nor answered by mark, so they need no conntrack entry, and a lookup per packet
        // is a tenth of their kernel cost. A peer's port alone proves nothing (anybody may send from port 15008): what
        // comes from there is left out only where the socket it belongs to is ours.
        let tunnel = CapturePort.tunnel
        let untrackedIn = ["tcp dport \(tunnel) notrack", "tcp sport \(tunnel) socket mark \(peer) notrack"]
        let untrackedOut = [
            "meta mark \(peer) tcp sport \(tunnel) notrack",
            "meta mark \(peer) tcp dport \(tunnel) tcp sport != { \(listeners.all.map(String.init).joined(separator: ", ")) } notrack",
        ]
        return """
            add table \(table)
            delete table \(table)
            table \(table) {
            \(chain("inbound", "type nat hook prerouting priority -100", inbound))
            \(outbound)
            \(chain("untracked_in", "type filter hook prerouting priority -300", untrackedIn))
            \(chain("untracked_out", "type filter hook output priority -300", untrackedOut))
            \(chain("replies", "type route hook output priority -150", replies))
            }

            """
    }

    /// The ports of the listeners that rules redirect to.
    package struct Listeners: Sendable, Hashable {
        /// Nil where something else brings what the pod's programs open.
        package let outbound: UInt16?
        package let inbound: UInt16

        fileprivate var all: [UInt16] { [outbound, inbound].compactMap(\.self) }
        /// Those of a pod that rules alone capture.
        package static let usual = Listeners(outbound: CapturePort.outbound, inbound: CapturePort.inbound)
    }

    /// Removes the table, and does nothing where there is none.
    package static let remove = "add table \(table)\ndelete table \(table)\n"

    private static func exemptions(_ sources: [IPPrefix]) -> [String] {
        let v4 = sources.filter { $0.address.isIPv4 }
        let v6 = sources.filter { !$0.address.isIPv4 }
        return [("ip", v4), ("ip6", v6)].filter { !$0.1.isEmpty }.map { family, prefixes in
            "\(family) saddr { \(disjoint(prefixes).map { "\($0)" }.joined(separator: ", ")) } accept"
        }
    }

    /// Without ranges that lie inside others: an nftables set refuses overlaps.
    private static func disjoint(_ prefixes: [IPPrefix]) -> [IPPrefix] {
        var kept: [IPPrefix] = []
        for prefix in prefixes.sorted(by: { ($0.length, $0.address) < ($1.length, $1.address) })
        where !kept.contains(where: { $0.contains(prefix.address) }) {
            kept.append(prefix)
        }
        return kept
    }

    private static func chain(_ name: String, _ hook: String, _ rules: [String]) -> String {
        (["  chain \(name) {", "    \(hook); policy accept;"] + rules.map { "    \($0)" } + ["  }"])
            .joined(separator: "\n")
    }

    private static func hex(_ mark: UInt32) -> String { "0x" + String(mark, radix: 16) }
}
