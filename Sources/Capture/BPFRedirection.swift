internal import CLinux
internal import CaptureBPF
internal import EventLoop
internal import MeshModel

/// The mode ``CaptureMode/bpf``: the node's programs know the pod, its namespace has a lookup program and routes.
final class BPFRedirection: Redirection {
    private let namespace: NetworkNamespace
    private let sockets: PodSockets
    private let record: SettingsRecord?
    private let programs: BPFPrograms
    private let pod: UInt64
    private var failOpen: Bool
    private var isRewriting: Bool
    /// What selects the pod's connections where no program on connects does; nil in other modes.
    private var selection: RouteSelection?
    /// Addresses from which agents of the node reach applications directly.
    private let directSources: () -> [IPPrefix]
    private let nft: NftProgram
    private let replies: PolicyRoutes
    private var routes: CapturedRoutes
    private var settings = [PodSetting.acceptMark] + PodSetting.reflectMarks

    /// - Parameters:
    ///   - mode: one of those for which ``CaptureMode/isBPF`` holds.
    ///   - directSources: addresses from which agents of the node reach applications directly, at the time of the call.
    init(
        _ mode: CaptureMode, in namespace: NetworkNamespace, sockets: PodSockets, record: SettingsRecord?,
        programs: BPFPrograms, failOpen: Bool, nftProgram: String, directSources: @escaping () -> [IPPrefix]
    ) throws(CaptureFailure) {
        self.record = record
        isRewriting = mode == .bpfRewrite
        selection = mode == .bpfRoute ? RouteSelection(namespace: namespace) : nil
        self.directSources = directSources
        if mode == .bpfRoute { settings += PodSetting.reversePath(in: namespace) }
        nft = NftProgram(name: nftProgram)
        self.namespace = namespace
        self.sockets = sockets
        self.programs = programs
        self.failOpen = failOpen
        pod = try sockets.namespaceCookie()
        replies = PolicyRoutes(namespace: namespace, ipv6: PodSettings.hasIPv6(namespace))
        routes = CapturedRoutes(namespace: namespace)
    }

    func prepare() throws(CaptureFailure) {
        // With maps of its own each would take away the other's routes, and neither would know who serves.
        if !programs.isEnrolled(pod), PodSockets.markedListeners(in: namespace) > 1 {
            throw CaptureFailure(
                "another ztund serves the pod and has its programs elsewhere: end that one first, or take over from it (--replace, "
                    + "in its run directory), or give both one --bpf-dir")
        }
        do throws(CaptureFailure) {
            let addresses = try addresses()
            _ = try replies.install()
            _ = try routes.install(addresses)
            _ = try applySettings()
            _ = try programs.set(addresses: addresses, of: pod)
            _ = try prepareRewriting(addresses)
        } catch {
            // What an earlier ztund installed keeps the pod closed.
            if !programs.isEnrolled(pod) { try? unprepare() }
            throw error
        }
    }

    func unprepare() throws(CaptureFailure) {
        for index in settings.indices { settings[index].restore(in: namespace) }
        try selection?.remove()
        try routes.remove()
        try replies.remove()
        _ = try programs.set(addresses: [], of: pod)
    }

    func install() throws(CaptureFailure) {
        let isAdopted = programs.isEnrolled(pod)
        do throws(CaptureFailure) {
            try programs.set(listeners: sockets, of: pod)
            try programs.attachLookup(in: namespace, pod: pod)
            try removeRules()
            // Last: until now the pod's connects were its own, from now on they are ours.
            try programs.enrol(pod, flags)
            _ = try selection?.install(directSources(), families: routes.families)
            // A ztund before this one may have selected by route.
            if isAdopted, selection == nil {
                var old = RouteSelection(namespace: namespace)
                try old.remove()
            }
        } catch {
            if !isAdopted { try? uninstall() }
            throw error
        }
    }

    private var flags: BPFPrograms.PodFlags {
        var flags: BPFPrograms.PodFlags = []
        if failOpen { flags.insert(.failOpen) }
        if isRewriting { flags.insert(.rewrite) }
        return flags
    }

    /// Only the flag changes, in one step: a connection is either marked or sent elsewhere, and ztund takes both.
    func change(to mode: CaptureMode) throws(CaptureFailure) {
        isRewriting = mode == .bpfRewrite
        _ = try prepareRewriting(try addresses())
        if programs.isEnrolled(pod), programs.flags(of: pod) != flags { try programs.enrol(pod, flags) }
    }

    func setFailOpen(_ isOpen: Bool) throws(CaptureFailure) -> String? {
        // The routes bring everything back, and nobody would be there.
        guard selection == nil else { return isOpen ? "bpf-route cannot fail open" : nil }
        failOpen = isOpen
        if programs.isEnrolled(pod), programs.flags(of: pod) != flags { try programs.enrol(pod, flags) }
        return nil
    }

    private func prepareRewriting(_ addresses: [InterfaceAddress]) throws(CaptureFailure) -> [String] {
        guard isRewriting else { return [] }
        let isFresh = try programs.attachRewriting()
        let isChanged = try programs.set(targets: try routes.sources(of: addresses), of: pod)
        return (isFresh ? ["rewriting programs"] : []) + (isChanged ? ["rewriting address"] : [])
    }

    /// Takes away the rules of a ztund that captured with nft and was killed: they would redirect what is to be looked up.
    private func removeRules() throws(CaptureFailure) {
        var generation: UInt32 = 0
        let known = try? namespace.run { () throws(SystemError) in
            try SystemError.check("netlink", zt_nft_generation(&generation))
        }
        // 1 is where every namespace begins: nobody ever had rules there, and nft need not be run.
        guard known != nil, generation > 1 else { return }
        if try nft.has(NftRuleset.table, in: namespace) { try nft.apply(NftRuleset.remove, in: namespace) }
    }

    func uninstall() throws(CaptureFailure) {
        try selection?.remove()
        try programs.release(pod)
    }

    func repair() throws(CaptureFailure) -> [String] {
        var repaired = try programs.repin()
        if selection == nil { repaired += try programs.repair() }
        let addresses = try addresses()
        repaired += try replies.install()
        if try programs.set(addresses: addresses, of: pod) { repaired.append("addresses") }
        repaired += try routes.install(addresses)
        repaired += try prepareRewriting(addresses)
        if try applySettings() { repaired.append("kernel settings") }
        if !programs.hasLookup(in: namespace, pod: pod) {
            try programs.attachLookup(in: namespace, pod: pod)
            repaired.append("lookup program")
        }
        if !isTakenOver, try programs.set(listeners: sockets, of: pod) > 0 { repaired.append("listeners") }
        if !programs.isEnrolled(pod) || programs.flags(of: pod) != flags {
            try programs.enrol(pod, flags)
            repaired.append("enrolment")
        }
        repaired += try selection?.install(directSources(), families: routes.families) ?? []
        return repaired
    }

    func hand(to pod: inout PodInheritance) {
        for setting in settings { setting.hand(to: &pod) }
    }

    func adopt(_ pod: PodInheritance) {
        for index in settings.indices { settings[index].adopt(pod) }
        programs.adopt(self.pod)
    }

    var isTakenOver: Bool {
        guard let serving = programs.outboundListener(of: pod) else { return false }
        var own: UInt64 = 0
        return zt_socket_cookie(sockets.outbound.number, &own) == 0 && own != serving
    }

    func leave() { programs.disown(pod) }

    /// The mark that the connect program gives: ztund's own cgroup is not the pod's, so that program is looked at by itself.
    var canaryMark: CanaryMark? { CanaryMark(outbound: selection == nil ? CaptureMark.captured : 0) }

    private func addresses() throws(CaptureFailure) -> [InterfaceAddress] {
        let found: [InterfaceAddress]
        do throws(SystemError) {
            found = try namespace.run { () throws(SystemError) in try InterfaceAddress.all() }
        } catch {
            throw CaptureFailure("read the addresses of its network namespace", error)
        }
        guard !found.isEmpty else {
            throw CaptureFailure("its network namespace has no address yet: the pod's network is not set up")
        }
        return found
    }

    private func applySettings() throws(CaptureFailure) -> Bool {
        var changed = false
        for index in settings.indices {
            if try settings[index].apply(in: namespace, record) { changed = true }
        }
        return changed
    }
}

extension PodSockets {
    /// What BPF programs know the pod's namespace by.
    func namespaceCookie() throws(CaptureFailure) -> UInt64 { try Self.namespaceCookie(of: outbound.number) }

    /// As the method without it, by one of the namespace's sockets.
    static func namespaceCookie(of socket: Int32) throws(CaptureFailure) -> UInt64 {
        var cookie: UInt64 = 0
        let result = zt_netns_cookie(socket, &cookie)
        guard result == 0 else {
            throw CaptureFailure(
                "read the cookie of its network namespace", SystemError("getsockopt", -result),
                hint: "that takes Linux 5.14; use --capture nft")
        }
        return cookie
    }
}
