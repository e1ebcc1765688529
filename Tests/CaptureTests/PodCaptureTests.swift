import Capture
import EventLoop
import Glibc
import MeshModel
import Testing

/// Enrolment in real network namespaces: what is installed, repaired, refused and removed.
@Suite(.serialized, .enabled(if: canMakeNamespaces, "needs root: network namespaces"))
struct PodCaptureTests {
    private let second: UInt64 = 1_000_000_000

    private func opened(_ change: PodCapture.Change) throws -> PodSockets {
        guard case .opened(let sockets) = change else {
            throw CaptureFailure("not opened: \(change)")
        }
        return sockets
    }

    @Test func enrolsAndLeavesNothingBehind() throws {
        let network = try TestNetwork("leave")
        let before = network.traces
        let capture = PodCapture(network.location, options: CaptureOptions(), now: 0)
        #expect(capture.status.phase == .pending)
        do {
            _ = try opened(capture.advance(now: 0))
            #expect(capture.status.phase == .enrolled)
            #expect(capture.status.reason == nil)
            let during = network.traces
            for wanted in [
                "table inet ztun_capture", "15008:\tfrom all fwmark 0x53a lookup 15008", "local default dev lo",
                "*:15001", "*:15006", "*:15008",
            ] {
                #expect(during.contains(wanted), "\(wanted) is not in: \(during)")
            }
            #expect(network.inPod("cat /proc/sys/net/ipv4/tcp_migrate_req") == "1\n")
            capture.remove(now: second)
            guard case .closed = capture.advance(now: second) else {
                Issue.record("removal did not close the sockets")
                return
            }
        }
        #expect(capture.isRemoved)
        #expect(network.traces == before)
    }

    @Test func putsBackWhatIsRemovedBehindItsBack() throws {
        let network = try TestNetwork("repair")
        let capture = PodCapture(network.location, options: CaptureOptions(), now: 0)
        let sockets = try opened(capture.advance(now: 0))
        let whole = network.traces
        var now: UInt64 = 0
        var repairs = 0
        for (damage, what) in [
            ("nft flush ruleset", "nftables rules"),
            ("nft delete chain inet ztun_capture replies", "nftables rules"),
            ("nft insert rule inet ztun_capture outbound accept", "nftables rules"),
            ("ip rule del pref 15008", "IPv4 rule"),
            ("ip -6 rule del pref 15008", "IPv6 rule"),
            ("ip route flush table 15008", "IPv4 route"),
            ("ip -6 route flush table 15008", "IPv6 route"),
            ("echo 1 > /proc/sys/net/netfilter/nf_conntrack_tcp_loose", "kernel settings"),
            ("echo 0 > /proc/sys/net/ipv4/tcp_fwmark_accept", "kernel settings"),
        ] {
            network.inPod(damage)
            #expect(network.traces != whole, "\(damage) did no damage")
            now += 10 * second
            guard case .none = capture.advance(now: now) else {
                Issue.record("a repair must not disturb the sockets")
                continue
            }
            repairs += 1
            #expect(network.traces == whole, "after \(damage)")
            #expect(capture.status.repairs == repairs)
            #expect(capture.status.lastRepair == what)
            #expect(capture.status.phase == .enrolled)
        }
        // A change that is none of our business is no damage.
        network.inPod("nft add table inet other")
        _ = capture.advance(now: now + 10 * second)
        #expect(capture.status.repairs == repairs)
        withExtendedLifetime(sockets) {}
    }

    @Test func waitsForANamespaceAndFollowsItsReplacement() throws {
        let network = try TestNetwork("gone")
        _ = shell("ip netns del \(network.podName)")
        let capture = PodCapture(network.location, options: CaptureOptions(), now: 0)
        guard case .none = capture.advance(now: 0) else {
            Issue.record("opened a namespace that is not there")
            return
        }
        #expect(capture.status.phase == .pending)
        #expect(capture.status.reason?.contains("pod default/a") == true)
        #expect(capture.status.reason?.contains("ENOENT; the pod is gone") == true)
        #expect(capture.nextDue == 5 * second)

        try network.addPod()
        let first = try opened(capture.advance(now: 5 * second)).namespace.identity

        // While ztund holds a namespace open it lives on; only the path tells that the pod is gone.
        try network.addPod()
        guard case .closed(let old) = capture.advance(now: 10 * second) else {
            Issue.record("did not notice the replacement")
            return
        }
        #expect(old.namespace.identity == first)
        #expect(capture.status.reason?.contains("new network namespace") == true)
        let second = try opened(capture.advance(now: 20 * second)).namespace.identity
        #expect(second != first)
        #expect(capture.status.phase == .enrolled)
    }

    @Test(arguments: [15001, 15006, 15008] as [UInt16])
    func reportsATakenPortAndLeavesThePodAlone(port: UInt16) throws {
        let network = try TestNetwork("taken\(port)")
        let capture = PodCapture(network.location, options: CaptureOptions(), now: 0)
        do {
            let taken = try network.listen(port, in: network.pod())
            let before = network.traces
            _ = capture.advance(now: 0)
            #expect(network.traces == before)
            #expect(capture.status.phase == .pending)
            let reason = capture.status.reason ?? ""
            #expect(reason.hasPrefix("pod default/a: port \(port) is taken in its network namespace by another"))
            _ = consume taken
        }
        // A program that another test starts at this moment holds a copy of the listener until it runs: tried again every 5 s.
        var change = PodCapture.Change.none
        for attempt in 1...100 {
            change = capture.advance(now: 5 * UInt64(attempt) * second)
            if case .opened = change { break }
            usleep(20_000)
        }
        _ = try opened(change)
        #expect(capture.status.phase == .enrolled)
    }

    @Test(arguments: [
        ("/nonexistent/nft", "install nftables"),
        ("/bin/false", "refused the rules (exit status 1): no message"),
    ])
    func undoesEverythingWhenRulesCannotBeInstalled(program: String, message: String) throws {
        let network = try TestNetwork("nonft")
        let before = network.traces
        let capture = PodCapture(network.location, options: CaptureOptions(nftProgram: program), now: 0)
        guard case .none = capture.advance(now: 0) else {
            Issue.record("served a pod without rules")
            return
        }
        #expect(capture.status.phase == .pending)
        #expect(capture.status.reason?.contains(message) == true, "\(capture.status.reason ?? "")")
        #expect(network.traces == before)
    }

    @Test func undoesEverythingWhenAForeignRouteStandsInOurTable() throws {
        let network = try TestNetwork("foreign")
        network.inPod("ip route add unreachable default table 15008")
        let before = network.traces
        let capture = PodCapture(network.location, options: CaptureOptions(), now: 0)
        _ = capture.advance(now: 0)
        #expect(capture.status.phase == .pending)
        #expect(capture.status.reason?.contains("ip route show table 15008") == true, "\(capture.status.reason ?? "")")
        #expect(network.traces == before)
    }

    @Test func adoptsWhatACrashedRunLeft() throws {
        let network = try TestNetwork("crash")
        let before = network.traces
        do {
            let crashed = PodCapture(network.location, options: CaptureOptions(), now: 0)
            _ = crashed.advance(now: 0)
        }
        #expect(network.traces.contains("ztun_capture"))
        network.inPod("nft add rule inet ztun_capture inbound tcp dport 1 drop")
        let capture = PodCapture(network.location, options: CaptureOptions(), now: 0)
        do { _ = try opened(capture.advance(now: 0)) }
        #expect(!network.traces.contains("drop"))
        capture.remove(now: second)
        _ = capture.advance(now: second)
        // The settings were ours already when the second run came, so they stay.
        network.resetSettings()
        #expect(network.traces == before)
    }

    @Test func externalModeInstallsNothing() throws {
        let network = try TestNetwork("external")
        let capture = PodCapture(network.location, options: CaptureOptions(mode: .external), now: 0)
        do { _ = try opened(capture.advance(now: 0)) }
        #expect(network.inPod("nft list ruleset") == "")
        #expect(!network.inPod("ip rule").contains("15008"))
        #expect(capture.status.mode == .external)
    }

    @Test func saysWhatIsNotANetworkNamespace() throws {
        for (path, message) in [
            ("/etc/hostname", "is not a network namespace"), ("/proc/self/ns/mnt", "is not a network namespace"),
            ("/proc/self/ns/net", "of ztund itself"),
        ] {
            let error = #expect(throws: CaptureFailure.self) { _ = try NetworkNamespace(path: path) }
            #expect(error?.description.contains(message) == true, "\(error?.description ?? "")")
        }
    }

    /// nft that can be taken away and given back.
    private func removableProgram(_ network: TestNetwork) -> (path: String, take: () -> Void, give: () -> Void) {
        let path = "/tmp/\(network.podName)-nft"
        let give = { _ = shell("ln -sf $(command -v nft) \(path)") }
        give()
        return (path, { _ = shell("rm -f \(path)") }, give)
    }

    @Test func repairThatFailsIsReportedAndTriedAgain() throws {
        let network = try TestNetwork("norepair")
        let nft = removableProgram(network)
        defer { nft.take() }
        let capture = PodCapture(network.location, options: CaptureOptions(nftProgram: nft.path), now: 0)
        let sockets = try opened(capture.advance(now: 0))
        network.inPod("nft flush ruleset")
        nft.take()
        guard case .none = capture.advance(now: 10 * second) else {
            Issue.record("what is still redirected must still be served")
            return
        }
        #expect(capture.status.phase == .pending)
        #expect(capture.status.reason?.contains("pod default/a: cannot run \(nft.path): exec: ENOENT") == true)
        #expect(capture.status.since == 10 * second)
        nft.give()
        _ = capture.advance(now: 15 * second)
        #expect(capture.status.phase == .enrolled)
        #expect(capture.status.repairs == 1)
        #expect(network.traces.contains("redirect to :15001"))
        withExtendedLifetime(sockets) {}
    }

    @Test func removalThatFailsKeepsServingUntilTheRulesAreGone() throws {
        let network = try TestNetwork("noremove")
        let nft = removableProgram(network)
        defer { nft.take() }
        let before = network.traces
        let capture = PodCapture(network.location, options: CaptureOptions(nftProgram: nft.path), now: 0)
        do { _ = try opened(capture.advance(now: 0)) }
        nft.take()
        capture.remove(now: second)
        guard case .none = capture.advance(now: second) else {
            Issue.record("closed the sockets although the rules still lead to them")
            return
        }
        #expect(capture.status.phase == .removing)
        #expect(capture.status.reason?.contains("ENOENT") == true)
        nft.give()
        guard case .closed = capture.advance(now: 6 * second) else {
            Issue.record("not removed")
            return
        }
        #expect(capture.isRemoved)
        #expect(network.traces == before)
    }

    @Test func successorKeepsTheRules() throws {
        let network = try TestNetwork("successor")
        let capture = PodCapture(network.location, options: CaptureOptions(), now: 0)
        do { _ = try opened(capture.advance(now: 0)) }
        do {
            let successor = try network.listen(15001, in: network.pod(), shared: true)
            capture.remove(now: second)
            do { _ = capture.advance(now: second) }
            #expect(capture.isRemoved)
            #expect(network.traces.contains("redirect to :15001"))
            #expect(network.traces.contains("fwmark 0x53a"))
            _ = consume successor
        }
        // Nobody has taken over now; a listener of our own that is still to be closed does not count.
        let last = PodCapture(network.location, options: CaptureOptions(), now: 0)
        let lingering = try opened(last.advance(now: 0))
        let again = PodCapture(network.location, options: CaptureOptions(), now: 0)
        do { _ = try opened(again.advance(now: 0)) }
        again.remove(now: second)
        do { _ = again.advance(now: second) }
        #expect(!network.traces.contains("redirect to :15001"))
        #expect(!network.traces.contains("fwmark 0x53a"))
        withExtendedLifetime(lingering) {}
    }

    @Test func waitsForLoopback() throws {
        let network = try TestNetwork("lo")
        network.inPod("ip link set lo down")
        let before = network.traces
        let capture = PodCapture(network.location, options: CaptureOptions(), now: 0)
        _ = capture.advance(now: 0)
        #expect(capture.status.reason?.contains("the interface lo is down") == true)
        #expect(network.traces == before)
        network.inPod("ip link set lo up")
        _ = try opened(capture.advance(now: 5 * second))
    }

    @Test func podWithoutIPv6IsEnrolledForIPv4() throws {
        let network = try TestNetwork("v4only")
        network.inPod("echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6")
        let before = network.traces
        let capture = PodCapture(network.location, options: CaptureOptions(), now: 0)
        do {
            let sockets = try opened(capture.advance(now: 0))
            let far = SocketAddress(IPAddress(v4: 0xc633_6407), 80)
            _ = try network.connect(far, from: sockets.namespace)
            let accepted = try network.accept(sockets.outbound.number)
            #expect(PodSockets.originalDestination(of: accepted.descriptor) == far)
            close(accepted.descriptor)
        }
        #expect(!network.inPod("ip -6 rule").contains("15008"))
        _ = capture.advance(now: 10 * second)
        #expect(capture.status.repairs == 0)
        capture.remove(now: 11 * second)
        do { _ = capture.advance(now: 11 * second) }
        let after = network.traces
        #expect(after.contains("15001") == before.contains("15001") && !after.contains("ztun_capture"))
    }
}
