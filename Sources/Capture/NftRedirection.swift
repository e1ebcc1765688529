internal import CLinux
internal import EventLoop
internal import MeshModel

/// The mode ``CaptureMode/nft``: rules in a table of our own, and the routes that bring answers back.
final class NftRedirection: Redirection {
    private let namespace: NetworkNamespace
    private let program: NftProgram
    private let rules: String
    private let routes: PolicyRoutes
    private var settings = PodSetting.conntrack + [PodSetting.acceptMark]
    /// What nft calls our table when it is as we want it.
    private var wanted: String?
    /// The ruleset's generation when the table was last seen to be right: while it stands, nft need not be asked.
    private var generation: UInt32?

    private let sockets: PodSockets
    /// The programs of a ztund that captured with BPF and left its pods closed; nil where there are none.
    private let predecessor: BPFPrograms?

    private let record: SettingsRecord?

    init(
        in namespace: NetworkNamespace, sockets: PodSockets, record: SettingsRecord? = nil, options: CaptureOptions,
        predecessor: BPFPrograms? = nil
    ) {
        self.record = record
        self.predecessor = predecessor
        self.namespace = namespace
        self.sockets = sockets
        program = NftProgram(name: options.nftProgram)
        // Beside BPF the listeners have ports of the kernel's choice, and what the pod opens is brought by BPF.
        let listeners =
            sockets.binding != .anyPort
            ? .usual : NftRuleset.Listeners(outbound: nil, inbound: sockets.listenerPorts.inbound)
        rules = NftRuleset.install(probeSources: options.probeSources, listeners: listeners)
        routes = PolicyRoutes(namespace: namespace, ipv6: PodSettings.hasIPv6(namespace))
    }

    var isTakenOver: Bool { sockets.isShared }
    /// The rules take connections without a mark for the pod's.
    var canaryMark: CanaryMark? { CanaryMark(outbound: 0) }

    func prepare() throws(CaptureFailure) {
        do throws(CaptureFailure) {
            _ = try routes.install()
            _ = try applySettings()
        } catch {
            try? unprepare()
            throw error
        }
    }

    func unprepare() throws(CaptureFailure) {
        for index in settings.indices { settings[index].restore(in: namespace) }
        try routes.remove()
    }

    func install() throws(CaptureFailure) {
        do throws(CaptureFailure) {
            try program.apply(rules, in: namespace)
            // Its programs would go on refusing the pod's connects, or bring them to nobody.
            if let predecessor {
                var selection = RouteSelection(namespace: namespace)
                try selection.remove()
                try predecessor.release(try sockets.namespaceCookie())
            }
            // The first rules of a node load conntrack, and its settings appear only then.
            _ = try applySettings()
            // Read before the table is: a change in between then shows as a newer generation.
            let seen = currentGeneration()
            wanted = try program.list(NftRuleset.table, in: namespace)
            generation = seen
        } catch {
            // nft may have been stopped after the kernel took the rules.
            try? uninstall()
            throw error
        }
    }

    func uninstall() throws(CaptureFailure) {
        try program.apply(NftRuleset.remove, in: namespace)
        wanted = nil
        generation = nil
    }

    func repair() throws(CaptureFailure) -> [String] {
        var repaired = try routes.install()
        if try applySettings() { repaired.append("kernel settings") }
        let seen = currentGeneration()
        if let seen, seen == generation { return repaired }
        if hasTable,
            try program.list(NftRuleset.table, in: namespace) == wanted
        {
            generation = seen
            return repaired
        }
        try program.apply(rules, in: namespace)
        let after = currentGeneration()
        wanted = try program.list(NftRuleset.table, in: namespace)
        generation = after
        repaired.append("nftables rules")
        return repaired
    }

    func hand(to pod: inout PodInheritance) {
        for setting in settings { setting.hand(to: &pod) }
        pod.rules = rules
        pod.table = wanted ?? ""
    }

    func adopt(_ pod: PodInheritance) {
        for index in settings.indices { settings[index].adopt(pod) }
        // Other rules than ours are replaced by the first repair, in one transaction.
        if pod.rules == rules, !pod.table.isEmpty { wanted = pod.table }
    }

    private func applySettings() throws(CaptureFailure) -> Bool {
        var changed = false
        for index in settings.indices {
            if try settings[index].apply(in: namespace, record) { changed = true }
        }
        return changed
    }

    /// Asked of the kernel itself: a table that is gone is put back without running nft twice before.
    private var hasTable: Bool {
        let found = try? namespace.run { () throws(SystemError) in
            try SystemError.check("netlink", zt_nft_has_table("ztun_capture"))
        }
        return found != 0
    }

    private func currentGeneration() -> UInt32? {
        var value: UInt32 = 0
        let result = try? namespace.run { () throws(SystemError) in
            try SystemError.check("netlink", zt_nft_generation(&value))
        }
        return result == nil ? nil : value
    }
}
