/// What a program says of itself: the answer to `GET /status`, and all that `ztun status` shows.
///
/// The JSON names are stable: keys may be added (as optionals, so that an older daemon still answers), none is renamed or changes its meaning. A list or value that does not
/// apply to a program (pods for a waypoint) is empty or absent.
package struct StatusReport: Codable, Sendable, Hashable {
    /// `ztund` or `ztun-waypoint`.
    package var program: String
    package var version: String
    package var pid: Int32
    package var startedAt: StatusTime
    package var uptimeSeconds: Int64
    /// Whether it takes traffic; false while something of ``pending`` is missing, or while it drains.
    package var ready: Bool
    /// What it still waits for, sorted.
    package var pending: [String]
    /// True once it was asked to stop.
    package var draining: Bool
    /// How pods' traffic reaches it: `nft`, `external`, `ebpf`; empty for a waypoint.
    package var captureMode: String
    /// Anything a person should know, as sentences: limits of this mode, a problem with its next step.
    package var notes: [String]
    package var pods: [PodStatus]
    package var certificates: [CertificateStatus]
    /// Nil when revocation is not looked after.
    package var revocation: RevocationStatus?
    package var state: StateStatus
    package var workers: [WorkerStatus]
    package var traffic: TrafficStatus
    /// Nil for programs that hold nothing for slow readers.
    package var memory: MemoryStatus?
    /// Refused and failed connections since the start by their reason token, most first.
    package var refusals: [RefusalCount]
    /// The newest refusals, newest first.
    package var recentRefusals: [RefusalStatus]
    /// What a person must look at, as sentences; empty when all is well. `ztun status` exits 1 when there is any.
    package var problems: [String]
    package var logFilter: String
    package var logLinesDropped: UInt64

    /// Network namespaces that were found on the node and not taken in, each with the reason; nil when none was.
    package var notEnrolled: [String: String]?
    /// How many ztund in a row have taken over from one another, this one included; nil for other programs.
    package var generation: Int?
    /// Those before this one that still carry connections, oldest first; nil for other programs.
    package var predecessors: [GenerationStatus]?

    package init(program: String, version: String, pid: Int32, startedAt: StatusTime, uptimeSeconds: Int64) {
        self.program = program
        self.version = version
        self.pid = pid
        self.startedAt = startedAt
        self.uptimeSeconds = uptimeSeconds
        ready = false
        pending = []
        draining = false
        captureMode = ""
        notes = []
        pods = []
        certificates = []
        state = StateStatus()
        workers = []
        traffic = TrafficStatus()
        refusals = []
        recentRefusals = []
        problems = []
        logFilter = ""
        logLinesDropped = 0
    }
}

extension StatusReport {
    /// Finds ``problems`` in the rest of the report; its maker calls this last.
    package mutating func assess() {
        var found: [String] = []
        if draining {
            found.append("\(program) is draining")
        } else if !ready {
            found.append(
                "\(program) is not ready" + (pending.isEmpty ? "" : ", waiting for: \(pending.joined(separator: ", "))")
            )
        }
        for pod in pods where pod.state != .captured {
            let name = "pod \(pod.namespace)/\(pod.name)"
            let reason = pod.reason.hasPrefix("\(name): ") ? String(pod.reason.dropFirst(name.count + 2)) : pod.reason
            let why = reason.isEmpty ? "" : ": \(reason)"
            found.append("\(name) is \(pod.state.rawValue)\(why)")
        }
        for certificate in certificates where certificate.state != .available {
            let why = certificate.error.isEmpty ? "" : ": \(certificate.error)"
            found.append("certificate of \(certificate.identity) is \(certificate.state.rawValue)\(why)")
        }
        if let revocation, !revocation.error.isEmpty {
            found.append("the revocation lists are not current: \(revocation.error)")
        }
        if !state.lastError.isEmpty { found.append("state is not current: \(state.lastError)") }
        for worker in workers where !worker.answering { found.append("worker \(worker.index) does not answer") }
        problems = found
    }
}
