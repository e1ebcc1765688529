internal import EventLoop
internal import MeshModel

/// One pod's capture: carries out its ``PodEnrolment``. Used by the control thread alone; its ``sockets`` go to workers.
///
/// Call ``advance(now:)`` when created, then at ``nextDue`` at the latest. It may run `nft`, so it may take milliseconds.
package final class PodCapture {
    /// What changed for those who serve the pod's listeners.
    package enum Change: Sendable {
        case none
        /// The pod is enrolled: serve these.
        case opened(PodSockets)
        /// The pod left or its namespace is gone: stop serving these, cut what is open, and let go of them.
        case closed(PodSockets)
    }

    /// The pod.
    package let location: PodLocation
    private let options: CaptureOptions
    let node: NodeCapture
    /// When canaries fly; ``canary`` is the one under way, with the time it was sent.
    var canarySchedule: CanarySchedule
    var canary: (flight: PodCanary, sentAt: UInt64)?
    private(set) var choice: CaptureChoice
    private var now: UInt64 = 0
    private var enrolment: PodEnrolment
    private var namespace: NetworkNamespace?
    private var sockets: PodSockets?
    private var served: PodSockets?
    private var redirection: (any Redirection)?
    private(set) var migrateRequests = PodSetting.migrateRequests
    /// What settings were before, for a ztund after this one.
    private var record: SettingsRecord?
    private var lastRepair = ""
    /// Another ztund serves the pod too: what is installed is now its.
    private var handsOver = false
    private var hasYielded = false
    private var isAdopted = false
    /// Whether whoever enrolled the pod asked for it to fail open.
    package var asksFailOpen = false
    /// Whether it does, once it is enrolled.
    var failsOpen = false
    /// The interfaces by which it forwards for others, as whoever enrolled it or its source says; empty where nobody does.
    package var reroutedInterfaces = ""
    /// Whether its traffic is captured.
    package var isEnrolled: Bool { enrolment.phase == .enrolled }
    /// How its traffic is captured.
    package var mode: CaptureMode { forwarding?.choice.mode ?? choice.mode }
    /// What captures the traffic that the pod forwards for others, since an interface for that came after its enrolment: rules
    /// for all that enters it, beside BPF for what its own programs open.
    private(set) var forwarding: (rules: NftRedirection, choice: CaptureChoice)?
    /// What was open when the pod was enrolled; nil before.
    private(set) var older: OlderConnections?
    /// Tells of changes in the namespace; nil where it cannot be had, and in other modes than ours.
    private var notices: NamespaceNotices?
    private var looksWholeAt: UInt64 = 0
    private var lookedAt: UInt64 = 0
    /// When ``advance(now:)`` has work again; nil when never.
    package private(set) var nextDue: UInt64?

    /// A pod that is to be enrolled; nothing happens before the first ``advance(now:)``.
    package convenience init(_ location: PodLocation, options: CaptureOptions, now: UInt64) {
        self.init(location, node: NodeCapture(options), now: now)
    }

    /// A pod that is to be enrolled on a node; nothing happens before the first ``advance(now:)``.
    package init(_ location: PodLocation, node: NodeCapture, now: UInt64) {
        self.location = location
        self.node = node
        options = node.options
        canarySchedule = CanarySchedule(
            isOn: options.canary, retryInterval: options.retryInterval, isExternal: options.mode == .external)
        choice = CaptureChoice(mode: options.mode, reason: "")
        enrolment = PodEnrolment(
            now: now, retryInterval: options.retryInterval, verifyInterval: options.verifyInterval)
        nextDue = now
    }

    /// A pod that is enrolled already, by the ztund before this one.
    init(
        adopting pod: PodInheritance, _ namespace: NetworkNamespace, _ sockets: PodSockets, _ choice: CaptureChoice,
        node: NodeCapture, now: UInt64
    ) throws(CaptureFailure) {
        location = pod.location
        self.node = node
        self.choice = choice
        options = node.options
        canarySchedule = CanarySchedule(
            isOn: options.canary, retryInterval: options.retryInterval, isExternal: options.mode == .external)
        enrolment = PodEnrolment(
            adoptedAt: now, retryInterval: options.retryInterval, verifyInterval: options.verifyInterval)
        self.namespace = namespace
        self.sockets = sockets
        migrateRequests.adopt(pod)
        startRecord()
        redirection = try node.redirection(choice.mode, in: namespace, sockets: sockets, record: record, now: now)
        redirection?.adopt(pod)
        if let reason = pod.forwardingReason {
            let rules = NftRedirection(in: namespace, sockets: sockets, record: record, options: options)
            rules.adopt(pod)
            forwarding = (rules, CaptureChoice(mode: .nft, reason: reason))
        }
        isAdopted = true
        older = OlderConnections(adopting: pod)
        asksFailOpen = pod.asksFailOpen ?? false
        // Until the state says otherwise, as it was: nobody changed it meanwhile.
        failsOpen = pod.failsOpen ?? false
        _ = try redirection?.setFailOpen(failsOpen)
        nextDue = now
        watchNamespace()
    }

    var heldNamespace: NetworkNamespace? { namespace }
    var heldSockets: PodSockets? { sockets }
    var heldRedirection: (any Redirection)? { redirection }
    var isServing: Bool { enrolment.isServing }

    /// What is installed is another ztund's from now on: nothing is repaired or removed any more.
    func becomeGuest() {
        notices = nil
        handsOver = true
        hasYielded = true
        redirection?.leave()
        redirection = nil
        forwarding = nil
    }

    /// What to say of the pod.
    package var status: PodCaptureStatus {
        PodCaptureStatus(
            location: location, phase: enrolment.phase, reason: enrolment.reason, mode: mode,
            modeReason: forwarding?.choice.reason ?? choice.reason,
            since: enrolment.since, repairs: enrolment.repairs, lastRepair: lastRepair,
            degradation: canarySchedule.reason, canary: canarySchedule.last, older: older)
    }

    /// Does all that is due: enrols, tries again, looks after the pod, or takes it out.
    package func advance(now: UInt64) -> Change {
        nextDue = now
        self.now = now
        while true {
            switch enrolment.next(now: now) {
            case .wait(let until):
                nextDue = until
                let change = change()
                // Those who serve the pod hear of its sockets first.
                if case .none = change { advanceCanary(now) }
                nextDue = [nextDue, canarySchedule.nextDue(now: now)].compactMap(\.self).min()
                return change
            case .perform(let step):
                report(now) { () throws(CaptureFailure) in
                    try inNamespace { () throws(CaptureFailure) in try perform(step) }
                }
            case .undo(let step):
                if let reason = lossOfNamespace() {
                    lose(reason, now)
                } else {
                    report(now) { () throws(CaptureFailure) in
                        try inNamespace { () throws(CaptureFailure) in try undo(step) }
                    }
                }
            case .verify:
                verify(now)
            }
        }
    }

    /// Asks for the pod to leave the mesh; the next ``advance(now:)`` does it, and again until it succeeds.
    ///
    /// Where another ztund already serves the pod, what is installed stays for that one. To leave the rules behind without a
    /// successor (so that the pod's connections are refused, not sent past the mesh), let go of this object instead.
    package func remove(now: UInt64) {
        enrolment.remove(now: now)
        nextDue = now
    }

    /// Whether another ztund listens in the pod too, and we still do.
    package var isShared: Bool { !hasYielded && sockets != nil && (redirection?.isTakenOver ?? false) }

    /// Ends our listeners, so that what waits at them goes to the other ztund's. Every worker must have let go of them.
    package func stopListening() {
        hasYielded = true
        sockets?.stopListening()
    }

    /// Whether nothing of ours is left in the pod, so that this object may go.
    package var isRemoved: Bool { enrolment.phase == .removed }

    private func change() -> Change {
        let now = enrolment.isServing ? sockets : nil
        guard now !== served else { return .none }
        if let old = served {
            // Another namespace under the same path shows as closed first; the caller asks again at once.
            served = nil
            canary = nil
            canarySchedule.reset()
            if now != nil { nextDue = 0 }
            return .closed(old)
        }
        served = now
        guard let now else { return .none }
        // Of an adopted pod, the ztund before this one accepts a little longer.
        canarySchedule.request(at: self.now &+ (isAdopted ? options.verifyInterval : 1_000_000))
        passGate()
        return .opened(now)
    }

    /// The watch told of a change in the pod: it is looked after now, or as soon as it was left alone for a moment. (A program
    /// in the pod may change its routes without end.)
    package func noticed(by tokens: Set<UInt64>, now: UInt64) {
        guard let notices, tokens.contains(notices.token) else { return }
        let due = max(now, lookedAt &+ 50_000_000)
        enrolment.lookSoon(now: due)
        nextDue = min(nextDue ?? due, due)
    }

    /// Has the pod looked after at the next ``advance(now:)``.
    package func lookSoon(now: UInt64) {
        enrolment.lookSoon(now: now)
        nextDue = now
    }

    private func inNamespace(_ body: () throws(CaptureFailure) -> Void) throws(CaptureFailure) {
        guard let namespace else { return try body() }
        try namespace.stay(body)
    }

    private func report(_ now: UInt64, _ body: () throws(CaptureFailure) -> Void) {
        do throws(CaptureFailure) {
            try body()
            enrolment.succeeded(now: now)
        } catch {
            enrolment.failed("pod \(location.pod): \(error.description)", now: now)
        }
    }

    private func perform(_ step: PodEnrolment.Step) throws(CaptureFailure) {
        switch step {
        case .openNamespace:
            let opened = try NetworkNamespace(path: location.path)
            choice = try node.choice(for: opened, rerouted: reroutedInterfaces, now: now)
            namespace = opened
            waitAtGate()
        case .openSockets:
            sockets = try PodSockets(
                in: try opened(), keepAlive: options.keepAlive, binding: choice.binding,
                rewritten: try node.rewrittenConnections(choice.mode, now: now))
        case .applySettings:
            startRecord()
            _ = try migrateRequests.apply(in: try opened(), record)
        case .prepareRedirection:
            guard let sockets else { throw CaptureFailure("its sockets are not open") }
            let new = try node.redirection(
                choice.mode, in: try opened(), sockets: sockets, record: record, now: now)
            _ = try new.setFailOpen(failsOpen)
            try new.prepare()
            redirection = new
        case .installRedirection:
            watchNamespace()
            older = namespace.map { OlderConnections(in: $0, listeners: 3) }
            try redirection?.install()
        }
    }

    /// `external` changes only how a closing listener's connections are treated, and is recorded all the same.
    private func startRecord() {
        guard let folder = options.settingsDirectory, let namespace, let sockets else { return }
        let cookie = (try? sockets.namespaceCookie()) ?? 0
        record = SettingsRecord(in: folder, of: namespace.identity, cookie: cookie)
        record?.begin()
    }

    private func watchNamespace() {
        guard let namespace, choice.mode != .external else { return }
        notices = node.watch?.follow(namespace, rules: mode == .nft)
    }

    private func undo(_ step: PodEnrolment.Step) throws(CaptureFailure) {
        switch step {
        case .openNamespace:
            namespace = nil
        case .openSockets:
            sockets = nil
        case .applySettings:
            if !handsOver, let namespace {
                migrateRequests.restore(in: namespace)
                // A killed ztund may have changed more than this one did.
                _ = record?.restore(in: namespace)
                record?.remove()
            }
            record = nil
        case .prepareRedirection:
            if !handsOver {
                try forwarding?.rules.unprepare()
                try redirection?.unprepare()
            }
            forwarding = nil
            redirection = nil
        case .installRedirection:
            handsOver = handsOver || (redirection?.isTakenOver ?? false)
            if handsOver {
                redirection?.leave()
            } else {
                try forwarding?.rules.uninstall()
                try redirection?.uninstall()
                leaveGate(isGone: false)
            }
            notices = nil
        }
    }

    /// Goes on in another mode where ``NodeCapture`` knows a better one now; whether it did.
    package func reconsider() -> Bool {
        guard enrolment.phase == .enrolled, let redirection, let better = node.revision(of: choice),
            (try? redirection.change(to: better.mode)) != nil
        else { return false }
        choice = better
        return true
    }

    /// Where the mode is ours to choose and a bridge or TUN/TAP interface came since enrolment, rules capture what enters the pod.
    ///
    /// What its programs open goes on as it is, and so does what is open: only a SYN is redirected.
    private func followForwarding() throws(CaptureFailure) {
        guard options.mode == .auto, choice.mode.isBPF, !handsOver, let namespace, let sockets,
            let interface = VirtualInterface.first(in: namespace)
        else { return }
        let rules = NftRedirection(in: namespace, sockets: sockets, record: record, options: options)
        try rules.prepare()
        try rules.install()
        let reason =
            "the pod forwards for others (\(interface), which came after enrolment); what its own programs open is brought "
            + "by \(choice.mode.rawValue)"
        forwarding = (rules, CaptureChoice(mode: .nft, reason: reason))
        watchNamespace()
        canarySchedule.request(at: now)
    }

    private func opened() throws(CaptureFailure) -> NetworkNamespace {
        guard let namespace else { throw CaptureFailure("its network namespace is not open") }
        return namespace
    }

    private func verify(_ now: UInt64) {
        if let reason = lossOfNamespace() { return lose(reason, now) }
        if let namespace { older?.refresh(in: namespace) }
        let isNoticed = notices?.take() ?? true
        guard isNoticed || now >= looksWholeAt || enrolment.reason != nil || canarySchedule.isTroubled else {
            return enrolment.verified(repairs: 0, now: now)
        }
        lookedAt = now
        looksWholeAt = now &+ options.backstopInterval
        do throws(CaptureFailure) {
            var repaired: [String] = []
            try inNamespace { () throws(CaptureFailure) in
                repaired = try redirection?.repair() ?? []
                if let forwarding { repaired += try forwarding.rules.repair() } else { try followForwarding() }
            }
            if !repaired.isEmpty {
                lastRepair = repaired.joined(separator: ", ")
                canarySchedule.request(at: now)
            }
            enrolment.verified(repairs: repaired.isEmpty ? 0 : 1, now: now)
        } catch {
            enrolment.failed("pod \(location.pod): \(error.description)", now: now)
        }
    }

    /// Why the namespace we hold is no longer the pod's; nil when it is.
    private func lossOfNamespace() -> String? {
        guard let namespace else { return nil }
        guard let found = NetworkNamespace.identity(atPath: location.path) else {
            return "pod \(location.pod): its network namespace \(escaped(location.path)) is gone; the pod has ended"
        }
        guard found == namespace.identity else {
            return "pod \(location.pod): there is a new network namespace at \(escaped(location.path))"
        }
        return nil
    }

    private func lose(_ reason: String, _ now: UInt64) {
        enrolment.lost(reason, now: now)
        leaveGate(isGone: true)
        notices = nil
        older = nil
        namespace = nil
        sockets = nil
        redirection = nil
        forwarding = nil
        if !handsOver { record?.remove() }
        record = nil
        migrateRequests = .migrateRequests
    }
}
