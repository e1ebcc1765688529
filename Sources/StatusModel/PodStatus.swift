/// One pod whose traffic the node proxy takes care of.
package struct PodStatus: Codable, Sendable, Hashable {
    /// How far the pod is; only ``captured`` means that its traffic goes through the mesh.
    package enum State: String, Codable, Sendable, CaseIterable {
        /// Being set up, or waiting for something that ``PodStatus/reason`` names.
        case pending
        /// Sockets are open and capture is in place.
        case captured
        /// As ``captured``, but a test of its capture failed; ``PodStatus/reason`` says how.
        case degraded
        /// Setting up failed; it is tried again.
        case failed
        /// Being taken out; its connections end.
        case draining

        /// Whether capture is in place, well or badly.
        package var isCaptured: Bool { self == .captured || self == .degraded }
    }

    package var namespace: String
    package var name: String
    /// Path of its network namespace.
    package var netns: String
    package var state: State
    /// Why it is not captured, and what is done about it; empty when it is.
    package var reason: String
    /// When ``state`` began.
    package var since: StatusTime
    /// How often its capture rules were found damaged and put right.
    package var repairs: UInt64
    /// Whether the state has a workload for it; without one its traffic is refused.
    package var workloadKnown: Bool
    /// How its traffic is captured, `bpf` for instance; nil from an older daemon.
    package var capture: String?
    /// Why in this way.
    package var captureReason: String?
    /// The last test of its capture; nil when there was none, or from an older daemon.
    package var canary: CanaryStatus?
    /// Nil unless the pod was to fail open, or from an older daemon.
    package var failOpen: FailOpenStatus?
    /// Connections that were open when it was enrolled, and so are left alone; nil before, or from an older daemon.
    package var older: OlderConnectionsStatus?
    package var addresses: [String]
    package var identity: String
    package var connections: UInt64
    /// Bytes that its slow readers hold; nil when an older daemon does not say.
    package var heldBytes: UInt64?

    package init(namespace: String, name: String, netns: String, state: State, since: StatusTime) {
        self.namespace = namespace
        self.name = name
        self.netns = netns
        self.state = state
        self.since = since
        reason = ""
        repairs = 0
        workloadKnown = false
        addresses = []
        identity = ""
        connections = 0
    }
}
