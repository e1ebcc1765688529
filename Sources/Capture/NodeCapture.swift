internal import EventLoop
internal import MeshModel

/// What this node captures with: chooses the mode of each pod and holds the node's BPF programs. Control thread only.
package final class NodeCapture {
    package let options: CaptureOptions
    private var programs: BPFPrograms?
    /// What an earlier ztund left, for releasing its pods one by one.
    private var left: BPFPrograms?
    /// Why there are no programs, and why those that there are cannot look at connects.
    private var obstacle: String?
    private var hookObstacle: String?
    private var triesAgainAt: UInt64 = 0
    private var hooksAgainAt: UInt64 = 0
    private var rounds = 0
    private var nodeAddresses: [InterfaceAddress]?
    private var rewritten: RewrittenConnections?
    /// Others' programs that run after ours on a connect, as they were seen last.
    private var laterPrograms: [String] = []
    private var looksAgainAt: UInt64 = 0

    /// Hears of changes in the pods' namespaces; nil when the process has no descriptor left for it.
    package let watch = NamespaceWatch.start()

    /// The boot gate, where one is installed.
    var gate: BootGate?
    var gateIdentity: UInt64?

    /// Nothing happens before the first pod needs it.
    package init(_ options: CaptureOptions) {
        self.options = options
    }

    /// The mode of a pod whose namespace is open.
    ///
    /// - Parameter rerouted: the interfaces by which it forwards for others, where somebody says so.
    func choice(for namespace: NetworkNamespace, rerouted: String, now: UInt64) throws(CaptureFailure) -> CaptureChoice
    {
        switch options.mode {
        case .nft, .external: return .choose(options.mode, CaptureFacts())
        case .bpf, .bpfRewrite:
            do throws(CaptureFailure) {
                try hook(try openPrograms(now), now)
            } catch {
                // Nothing is left of an attempt that was in vain.
                programs?.removeIfUnused()
                programs = nil
                rewritten = nil
                throw error
            }
            return .choose(options.mode, CaptureFacts())
        case .bpfRoute:
            _ = try openPrograms(now)
            return .choose(.bpfRoute, CaptureFacts())
        case .auto:
            if let programs = try? openPrograms(now) { try? hook(programs, now) }
            lookForOtherPrograms(now)
            var facts = CaptureFacts()
            facts.obstacle = obstacle
            facts.hookObstacle = hookObstacle
            if hookObstacle != nil, let count = OpenConnections.count(in: namespace), count > 0 {
                facts.routeObstacle =
                    "bpf-route would cut \(count) connection\(count == 1 ? "" : "s") of the pod that are open"
            }
            facts.laterPrograms = laterPrograms
            facts.forwarder =
                VirtualInterface.first(in: namespace)
                ?? (rerouted.isEmpty ? nil : "istio.io/reroute-virtual-interfaces: \(escaped(rerouted))")
            return .choose(.auto, facts)
        }
    }

    /// The mode in which a captured pod is to go on, where the first choice was ours and another is better now; nil to stay.
    ///
    /// Only what can change without a gap does: who got nft because there was no BPF keeps it until it is enrolled again.
    func revision(of choice: CaptureChoice) -> CaptureChoice? {
        guard options.mode == .auto, choice.mode == .bpf || choice.mode == .bpfRewrite else { return nil }
        var facts = CaptureFacts()
        facts.laterPrograms = laterPrograms
        let revised = CaptureChoice.choose(.auto, facts)
        return revised == choice ? nil : revised
    }

    private func lookForOtherPrograms(_ now: UInt64) {
        looksAgainAt = now &+ 1_000_000_000
        laterPrograms = programs?.foreignPrograms.after ?? []
    }

    /// Where rewritten connections of a pod in this mode wanted to go; nil for modes that never rewrite.
    func rewrittenConnections(_ mode: CaptureMode, now: UInt64) throws(CaptureFailure) -> RewrittenConnections? {
        guard mode == .bpf || mode == .bpfRewrite else { return nil }
        if let rewritten { return rewritten }
        let fresh = try openPrograms(now).rewrittenConnections()
        rewritten = fresh
        return fresh
    }

    /// How a pod's traffic is brought to its sockets.
    func redirection(
        _ mode: CaptureMode, in namespace: NetworkNamespace, sockets: PodSockets, record: SettingsRecord?, now: UInt64
    ) throws(CaptureFailure) -> any Redirection {
        switch mode {
        case .external: return ExternalRedirection(sockets)
        case .nft:
            return NftRedirection(
                in: namespace, sockets: sockets, record: record, options: options, predecessor: try predecessor(now))
        case .bpf, .bpfRewrite, .bpfRoute, .auto:
            let programs = try openPrograms(now)
            if mode != .bpfRoute { try hook(programs, now) }
            return try BPFRedirection(
                mode, in: namespace, sockets: sockets, record: record, programs: programs, failOpen: false,
                nftProgram: options.nftProgram, directSources: { [unowned self] in directSources })
        }
    }

    /// What a person should know of the node's capture, as sentences.
    package var notes: [String] { modeNotes + [gateNote].compactMap(\.self) }

    private var modeNotes: [String] {
        guard let programs else {
            guard options.mode == .auto, let obstacle else { return [] }
            return ["pods are captured with nft, since BPF is not possible: \(obstacle)"]
        }
        var notes: [String] = []
        if options.mode == .auto, let hookObstacle {
            notes.append(
                "pods are captured with bpf-route or nft, since their connects cannot be hooked: \(hookObstacle)")
        }
        let foreign = programs.foreignPrograms
        let isRewriting = options.mode == .bpfRewrite || options.mode == .auto
        let harmful = isRewriting ? foreign.before : Array(Set(foreign.before + foreign.after)).sorted()
        let place = escaped(programs.cgroup ?? "")
        if !harmful.isEmpty {
            notes.append(
                "other programs act on connects in \(place) too (\(harmful.joined(separator: ", "))): "
                    + "a socket load balancer there may replace a service's address before ztund sees it"
                    + (foreign.after.isEmpty || isRewriting ? "" : "; --capture bpf-rewrite or auto prevents it"))
        }
        if isRewriting, !foreign.after.isEmpty {
            notes.append(
                "other programs act on connects in \(place) after ours (\(foreign.after.joined(separator: ", "))): pods' "
                    + "connections are sent to the pod's own address there, so they see neither services nor peers")
        }
        let orphans = programs.pods.count { programs.outboundListener(of: $0) == nil }
        if orphans > 0 {
            notes.append(
                "\(orphans) \(orphans == 1 ? "pod is" : "pods are") closed that an earlier ztund enrolled and nobody serves: "
                    + "add what is missing (ztun pod add), or free it (ztun node cleanup)")
        }
        return notes
    }

    /// Brings the list of the node's own addresses up to date, and now and then forgets pods that have ended.
    ///
    /// - Returns: whether captured pods may have to go on in another mode (``PodCapture/reconsider()``).
    @discardableResult
    package func refresh(now: UInt64) -> Bool {
        let before = laterPrograms
        if options.mode == .auto, programs != nil, now >= looksAgainAt { lookForOtherPrograms(now) }
        refreshAddresses()
        return laterPrograms != before
    }

    private func refreshAddresses() {
        rounds += 1
        if rounds % 16 == 0 { programs?.forgetDeadPods() }
        guard let programs, options.probeCgroup != nil,
            let found = try? NetworkNamespace.atHome({ () throws(SystemError) in try InterfaceAddress.all() }),
            found != nodeAddresses
        else { return }
        if (try? programs.set(nodeAddresses: found)) != nil { nodeAddresses = found }
    }

    /// The end of ztund: takes what no enrolled pod needs out of the kernel.
    package func close() {
        programs?.forgetDeadPods()
        programs?.removeIfUnused()
        left?.removeIfUnused()
        programs = nil
        left = nil
    }

    /// What a ztund before this one left pinned: it refuses the pods' connects until they are released.
    private func predecessor(_ now: UInt64) throws(CaptureFailure) -> BPFPrograms? {
        if let programs = programs ?? left { return programs }
        guard BPFPrograms.isPinned(in: options.bpfDirectory) else { return nil }
        left = try BPFPrograms(folder: options.bpfDirectory, sources: nil, probeCgroup: nil)
        return left
    }

    /// Has the programs look at connects, if they do not yet.
    private func hook(_ programs: BPFPrograms, _ now: UInt64) throws(CaptureFailure) {
        guard programs.cgroup == nil else { return }
        if let hookObstacle, now < hooksAgainAt { throw CaptureFailure(hookObstacle) }
        hooksAgainAt = now &+ 30_000_000_000
        do throws(CaptureFailure) {
            try programs.attach(to: options.podCgroup)
            hookObstacle = nil
        } catch {
            hookObstacle = error.description
            throw error
        }
    }

    /// Addresses from which agents of the node reach applications directly.
    private var directSources: [IPPrefix] {
        guard options.probeCgroup != nil else { return options.probeSources }
        let node = (nodeAddresses ?? []).compactMap { IPPrefix($0.ip, length: $0.ip.isIPv4 ? 32 : 128) }
        return options.probeSources + node
    }

    private func openPrograms(_ now: UInt64) throws(CaptureFailure) -> BPFPrograms {
        if let programs { return programs }
        if let obstacle, now < triesAgainAt { throw CaptureFailure(obstacle) }
        triesAgainAt = now &+ 30_000_000_000
        do throws(CaptureFailure) {
            let opened = try BPFPrograms(
                folder: options.bpfDirectory, sources: options.probeSources, probeCgroup: options.probeCgroup)
            programs = opened
            obstacle = nil
            refreshAddresses()
            return opened
        } catch {
            obstacle = error.description
            throw error
        }
    }
}
