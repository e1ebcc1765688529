internal import CLinux
internal import EventLoop
internal import MeshModel

/// The mode ``CaptureMode/nft``: rules in a table of our own, and the routes that bring answers back.
final class NftRedirection: Redirection {
    private let namespace: NetworkNamespace
    private let program: NftProgram
    private let rules: String
    private let routes: PolicyRoutes
    /// What nft calls our table when it is as we want it.
    private var wanted: String?
    /// The ruleset's generation when the table was last seen to be right: while it stands, nft need not be asked.
    private var generation: UInt32?

    init(in namespace: NetworkNamespace, options: CaptureOptions) {
        self.namespace = namespace
        program = NftProgram(name: options.nftProgram)
        rules = NftRuleset.install(probeSources: options.probeSources)
        routes = PolicyRoutes(namespace: namespace, ipv6: PodSettings.hasIPv6(namespace))
    }

    func prepare() throws(CaptureFailure) {
        do throws(CaptureFailure) {
            _ = try routes.install()
        } catch {
            try? routes.remove()
            throw error
        }
    }

    func unprepare() throws(CaptureFailure) {
        try routes.remove()
    }

    func install() throws(CaptureFailure) {
        // Read before the table is: a change in between then shows as a newer generation.
        do throws(CaptureFailure) {
            try program.apply(rules, in: namespace)
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
        let seen = currentGeneration()
        if let seen, seen == generation { return repaired }
        if let found = try program.list(NftRuleset.table, in: namespace), found == wanted {
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

    private func currentGeneration() -> UInt32? {
        var value: UInt32 = 0
        let result = try? namespace.run { () throws(SystemError) in
            try SystemError.check("netlink", zt_nft_generation(&value))
        }
        return result == nil ? nil : value
    }
}
