internal import EventLoop

/// What this node captures with: chooses the mode of each pod and holds the node's BPF programs. Control thread only.
package final class NodeCapture {
    package let options: CaptureOptions
    private var programs: BPFPrograms?
    /// What an earlier ztund left, for releasing its pods one by one.
    private var left: BPFPrograms?
    /// Why there are no programs.
    private var obstacle: String?
    private var triesAgainAt: UInt64 = 0
    private var rounds = 0
    private var nodeAddresses: [InterfaceAddress]?
    private var rewritten: RewrittenConnections?
    /// Others' programs that run after ours on a connect, as they were seen last.
    private var laterPrograms: [String] = []
    private var looksAgainAt: UInt64 = 0

    /// Hears of changes in the pods' namespaces; nil when the process has no descriptor left for it.
    package let watch = NamespaceWatch.start()

    /// Nothing happens before the first pod needs it.
    package init(_ options: CaptureOptions) {
        self.options = options
    }

    /// The mode of a pod whose namespace is open.
    func choice(for namespace: NetworkNamespace, now: UInt64) throws(CaptureFailure) -> CaptureChoice {
        switch options.mode {
        case .nft, .external: return .choose(options.mode, CaptureFacts())
        case .bpf, .bpfRewrite:
            _ = try openPrograms(now)
            return .choose(options.mode, CaptureFacts())
        case .auto:
            _ = try? openPrograms(now)
            lookForOtherPrograms(now)
            var facts = CaptureFacts()
            facts.obstacle = obstacle
            facts.laterPrograms = laterPrograms
            facts.forwarder = VirtualInterface.first(in: namespace)
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
    func redirection(_ mode: CaptureMode, in namespace: NetworkNamespace, sockets: PodSockets, now: UInt64)
        throws(CaptureFailure) -> any Redirection
    {
        switch mode {
        case .external: return ExternalRedirection(sockets)
        case .nft:
            return NftRedirection(
                in: namespace, sockets: sockets, options: options, predecessor: try predecessor(now))
        case .bpf, .bpfRewrite, .auto:
            return try BPFRedirection(
                mode, in: namespace, sockets: sockets, programs: try openPrograms(now), failOpen: false,
                nftProgram: options.nftProgram)
        }
    }

    /// What a person should know of the node's capture, as sentences.
    package var notes: [String] {
        guard let programs else {
            guard options.mode == .auto, let obstacle else { return [] }
            return ["pods are captured with nft, since BPF is not possible: \(obstacle)"]
        }
        var notes: [String] = []
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
        guard let programs, options.probeCgroup != nil, let found = try? InterfaceAddress.all(), found != nodeAddresses
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
        left = try BPFPrograms(folder: options.bpfDirectory, cgroup: nil, sources: [], probeCgroup: nil)
        return left
    }

    private func openPrograms(_ now: UInt64) throws(CaptureFailure) -> BPFPrograms {
        if let programs { return programs }
        if let obstacle, now < triesAgainAt { throw CaptureFailure(obstacle) }
        triesAgainAt = now &+ 30_000_000_000
        do throws(CaptureFailure) {
            let cgroup: String
            if let named = options.podCgroup { cgroup = named } else { cgroup = try PodCgroup.find() }
            let opened = try BPFPrograms(
                folder: options.bpfDirectory, cgroup: cgroup,
                sources: options.probeSources, probeCgroup: options.probeCgroup)
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
