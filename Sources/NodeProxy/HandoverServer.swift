internal import AdminServer
internal import Capture
internal import ControlPlane
internal import EventLoop
internal import Glibc
internal import HBONE
internal import StatusModel
internal import Telemetry

/// The side of a ztund that hands over, and its ties to those it replaced; on a thread of its own.
///
/// A successor is served one at a time. Until it says that it accepts, nothing changes here; until it says that it knows
/// that we do not accept any more, everything can be taken back.
final class HandoverServer: Sendable {
    private let node: Node
    private let control: NodeControl
    private let admin: AdminServer
    private let state: Lock<State>

    private struct State {
        var isStopping = false
        /// Nil once a successor has taken over.
        var listener: DescriptorListener?
        var thread: LoopThread?
        var links: [HandoverChannel]
        /// What those that we replaced said last, by generation.
        var reports: [Int: GenerationStatus] = [:]
        var removals: [String] = []
        /// The one that replaced us.
        var successor: HandoverChannel?
        var replacedAt: UInt64 = 0
    }

    /// Starts to listen for successors.
    ///
    /// - Parameter links: the connections to those that were replaced before.
    init(_ node: Node, _ control: NodeControl, _ admin: AdminServer, links: [HandoverChannel]) throws(SystemError) {
        self.node = node
        self.control = control
        self.admin = admin
        let listener = try DescriptorListener(Succession.path(in: node.configuration.program.runDirectory))
        state = Lock(State(listener: listener, links: links))
        let thread = try LoopThread(name: "ztun-handover") { [self] in run() }
        state.withLock { $0.thread = thread }
    }

    /// Ends the thread. The socket's path goes unless a successor has it.
    func stop() {
        let thread = state.withLock { state in
            state.isStopping = true
            defer { state.thread = nil }
            return state.thread
        }
        thread?.join()
        guard !isReplaced else { return }
        Kernel.unlinkPath(Succession.path(in: node.configuration.program.runDirectory))
    }

    /// Whether a successor has all pods.
    private var isReplaced: Bool { state.withLock { $0.replacedAt > 0 } }

    /// Those that were replaced and still carry something, oldest first.
    var predecessors: [GenerationStatus] {
        state.withLock { $0.reports.values.sorted { $0.generation < $1.generation } }
    }

    /// A pod left: those that were replaced are to cut what they carry for it.
    func podRemoved(_ pod: String) {
        state.withLock { if !$0.links.isEmpty { $0.removals.append(pod) } }
    }

    private func run() {
        var reportedAt: UInt64 = 0
        while !state.withLock({ $0.isStopping }) {
            if let listener = state.withLock({ $0.listener }) {
                let links = state.withLock { $0.links.map(\.channel) }
                if let channel = listener.accept(within: 200, limit: HandoverMessage.patience, orUntil: links) {
                    handOver(to: HandoverChannel(channel: channel))
                }
                hearPredecessors()
                continue
            }
            guard let successor = state.withLock({ $0.successor }) else {
                Kernel.pause(milliseconds: 50)
                continue
            }
            hearSuccessor(successor)
            let now = Kernel.monotonicNow()
            if now - reportedAt > 1_000_000_000 {
                reportedAt = now
                report(to: successor)
            }
        }
    }

    // MARK: - Handing over

    private func say(_ level: LogLevel, _ text: String) {
        node.log.write(level, .program, text, now: Kernel.realtimeNow())
    }

    private func handOver(to channel: HandoverChannel) {
        do throws(HandoverChannel.Fault) {
            let pid = channel.channel.peer?.pid ?? 0
            if let refusal = try refusal(of: channel) {
                say(.warn, "process \(pid) may not take over: \(refusal)")
                return try channel.send(.refused(refusal))
            }
            say(.info, "process \(pid) takes over")
            control.freeze(true)
            do throws(HandoverChannel.Fault) {
                try exchange(channel)
            } catch {
                control.freeze(false)
                throw error
            }
            say(.info, "process \(pid) has taken over all pods")
        } catch {
            say(.warn, "a handover was given up, this ztund serves on: \(error)")
        }
    }

    /// Hears who wants to take over; why it may not.
    private func refusal(of channel: HandoverChannel) throws(HandoverChannel.Fault) -> String? {
        guard let peer = channel.channel.peer, peer.uid == 0 || peer.uid == geteuid() else {
            return "only root may take over"
        }
        guard case .hello(let hello) = try channel.receive().message else { throw .unreadable }
        guard hello.protocolVersion == HandoverMessage.version else {
            return "it hands over by version \(HandoverMessage.version) of the protocol, not \(hello.protocolVersion); "
                + "end this one first"
        }
        // Each pod is handed over with the mode it has, which a successor that chooses by itself goes on with.
        let capture = node.configuration.capture
        guard hello.capture == capture.rawValue || (hello.capture == "auto" && capture != .external) else {
            return "it captures in mode \(capture.rawValue), not \(hello.capture); end this one first"
        }
        return node.shared.withLock { $0.isDraining } ? "it is ending itself" : nil
    }

    private func exchange(_ channel: HandoverChannel) throws(HandoverChannel.Fault) {
        try channel.send(
            .hello(
                HandoverHello(
                    pid: getpid(), program: ProductVersion.text, generation: node.generation,
                    capture: node.configuration.capture.rawValue)))
        let listeners = admin.openListeners
        try channel.send(.listeners(listeners), descriptors: listeners.map(\.number))
        for link in state.withLock({ $0.links }) { try channel.send(.predecessor, descriptors: [link.channel.number]) }
        let (enrolled, pending) = control.inheritance()
        for (pod, sockets) in enrolled { try channel.send(.pod(pod), descriptors: sockets) }
        for pod in pending {
            try channel.send(
                .pendingPod(PodReferenceParts(namespace: pod.namespace, name: pod.name, path: pod.path)))
        }
        try channel.send(.complete(pods: enrolled.count))
        guard case .serving(let indices) = try channel.receive().message else { throw .unreadable }
        let pods = Set(enrolled.map(\.pod.location.pod))
        node.tell(.yield(pods))
        do throws(HandoverChannel.Fault) {
            // An answer of every worker says that it accepts nothing any more.
            guard node.unfinished(seconds: 5) != nil else { throw .refused("a worker does not answer") }
            try channel.send(.yielded)
            guard case .taken = try channel.receive().message else { throw .unreadable }
        } catch {
            for pod in pods { node.tell(.podServed(pod)) }
            throw error
        }
        control.handOver()
        admin.leave(indices.filter { listeners.indices.contains($0) }.map { listeners[$0] })
        listenAside()
        state.withLock { state in
            state.listener = nil
            state.successor = channel
            state.replacedAt = Kernel.realtimeNow()
            state.links = []
            state.reports = [:]
        }
        node.replaced()
    }

    /// What stays here can still be asked for, at a socket of our own.
    private func listenAside() {
        let path = "\(node.configuration.program.runDirectory)/ztund.\(node.generation)-\(getpid()).sock"
        guard !admin.listenAside(path) else { return }
        node.log.write(
            .warn, .admin, "\(path) cannot be opened: `ztun connections` will not show what stays here",
            now: Kernel.realtimeNow())
    }

    // MARK: - Before and after us

    private func hearPredecessors() {
        let (links, removals) = state.withLock { state in
            defer { state.removals = [] }
            return (state.links, state.removals)
        }
        for link in links {
            do throws(HandoverChannel.Fault) {
                for pod in removals { try link.send(.podRemoved(pod)) }
                while link.channel.waitReadable(milliseconds: 0) {
                    let received = try link.receive()
                    switch received.message {
                    case .report(let report): state.withLock { $0.reports[report.generation] = report }
                    case .relay(let relay): adopt(relay, received)
                    default: break
                    }
                }
            } catch {
                forget(link)
            }
        }
    }

    private func adopt(_ relay: RelayInheritance, _ received: HandoverChannel.Received) {
        let parts = PlainRelayParts(
            downstream: relay.downstream, upstream: relay.upstream, bytes: Array(received.bytes),
            sockets: DescriptorBundle(received.descriptors))
        guard let parts else { return say(.warn, "a connection came in pieces that do not fit; it is lost") }
        let worker = Int(truncatingIfNeeded: relay.acceptedAt) % node.mailboxes.count
        node.mailboxes[worker].post(.resume(InheritedRelay(relay: relay, parts: parts)))
    }

    /// Gives what goes on without a tunnel to the successor; what it does not take goes on here.
    private func giveRelays(to successor: HandoverChannel) throws(HandoverChannel.Fault) {
        let relays = node.takeRelays()
        for (index, inherited) in relays.enumerated() {
            do throws(HandoverChannel.Fault) {
                try successor.send(
                    .relay(inherited.relay), descriptors: inherited.parts.sockets.open, bytes: inherited.parts.bytes)
            } catch {
                for rest in relays[index...] { node.mailboxes[index % node.mailboxes.count].post(.resume(rest)) }
                throw error
            }
            for number in inherited.parts.sockets.take() { _ = Descriptor(owning: number) }
        }
    }

    private func forget(_ link: HandoverChannel) {
        state.withLock { state in
            state.links.removeAll { $0.channel === link.channel }
            // Which of them it was is not said: those that are left report again within a second.
            state.reports = [:]
        }
    }

    private func hearSuccessor(_ successor: HandoverChannel) {
        do throws(HandoverChannel.Fault) {
            try giveRelays(to: successor)
            _ = successor.channel.waitReadable(milliseconds: 200)
            while successor.channel.waitReadable(milliseconds: 0) {
                if case .podRemoved(let pod) = try successor.receive().message { control.forget(pod) }
            }
        } catch {
            state.withLock { $0.successor = nil }
            node.successorEnded()
        }
    }

    private func report(to successor: HandoverChannel) {
        guard let unfinished = node.unfinished() else { return }
        let since = state.withLock { $0.replacedAt }
        let status = GenerationStatus(
            generation: node.generation, pid: getpid(), version: ProductVersion.text, unfinished: unfinished,
            since: StatusTime(unixNanoseconds: since))
        // A successor that is gone is noticed when it is heard.
        try? successor.send(.report(status))
    }
}
