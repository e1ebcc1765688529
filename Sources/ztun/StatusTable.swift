internal import StatusModel

/// A status report as a person reads it.
struct StatusTable {
    private let report: StatusReport
    /// The daemon's clock at the moment of the report, so that ages do not depend on ours.
    private let now: Int64

    init(_ report: StatusReport) {
        self.report = report
        let (sum, overflow) = report.startedAt.unixSeconds.addingReportingOverflow(report.uptimeSeconds)
        now = overflow ? report.startedAt.unixSeconds : sum
    }

    var text: String {
        [head, pods, older, notEnrolled, certificates, workers, refusals, recentRefusals, problems].filter {
            !$0.isEmpty
        }
        .joined(
            separator: "\n")
    }

    private func age(_ time: StatusTime) -> String {
        let (difference, overflow) = now.subtractingReportingOverflow(time.unixSeconds)
        // Both ends are rounded to seconds, so the youngest may come out below zero.
        return overflow ? "?" : Quantity.time(max(0, difference))
    }

    private func until(_ time: StatusTime?) -> String {
        guard let time else { return "" }
        let (difference, overflow) = time.unixSeconds.subtractingReportingOverflow(now)
        if overflow { return "?" }
        return difference < 0 ? "\(Quantity.time(-difference)) ago" : "in \(Quantity.time(difference))"
    }

    private var head: String {
        let condition = report.draining ? "draining" : report.ready ? "ready" : "NOT READY"
        var text = "\(Table.printable(report.program)) \(Table.printable(report.version)): \(condition)"
        text += ", pid \(report.pid), up \(Quantity.time(report.uptimeSeconds))"
        if !report.captureMode.isEmpty { text += ", capture \(Table.printable(report.captureMode))" }
        if !report.pending.isEmpty {
            text += "\n  waiting  \(Table.printable(report.pending.joined(separator: ", ")))"
        }
        text += "\n  state    \(state)"
        text += "\n  traffic  \(traffic)"
        if let memory = report.memory { text += "\n  memory   \(held(memory))" }
        text += "\n  log      \(Table.printable(report.logFilter)), "
        text += "\(Quantity.count(report.logLinesDropped)) lines lost\n"
        if let generation = report.generation, generation > 1 { text += "  replaced \(generation - 1) before it\n" }
        for old in report.predecessors ?? [] {
            text += "  older    generation \(old.generation), pid \(old.pid), \(Table.printable(old.version)): "
            text += "\(Quantity.count(UInt64(clamping: old.unfinished))) to end, replaced \(age(old.since)) ago\n"
        }
        for note in report.notes { text += "  note     \(Table.printable(note))\n" }
        return text
    }

    private var state: String {
        let state = report.state
        guard !state.kind.isEmpty || !state.source.isEmpty else { return "none" }
        var text = Table.printable("\(state.kind) \(state.source)") + ", generation \(state.generation)"
        if let age = state.ageSeconds { text += ", \(Quantity.time(age)) old" }
        text += ": \(Quantity.items(state.workloads, "workload", "workloads"))"
        text += ", \(Quantity.items(state.services, "service", "services"))"
        text += ", \(Quantity.items(state.policies, "policy", "policies"))"
        if state.routes > 0 { text += ", \(Quantity.items(state.routes, "route", "routes"))" }
        if let policy = state.outboundTrafficPolicy, !policy.isEmpty { text += ", outbound \(policy)" }
        return text
    }

    private var traffic: String {
        let traffic = report.traffic
        var text = "\(Quantity.count(traffic.connectionsOpen)) open"
        text += ", \(Quantity.count(traffic.connectionsOpened)) opened"
        text += ", \(Quantity.count(traffic.connectionsFailed)) failed"
        text += ", \(Quantity.bytes(traffic.bytesReceived)) of requests"
        text += ", \(Quantity.bytes(traffic.bytesSent)) of responses"
        if let requests = traffic.requests { text += ", \(Quantity.count(requests)) HTTP requests" }
        return text
    }

    private func held(_ memory: MemoryStatus) -> String {
        var text = "\(Quantity.bytes(memory.held)) of \(Quantity.bytes(memory.budget)) held for slow readers"
        guard memory.pauses + memory.refused + memory.shed > 0 else { return text }
        text += ", \(Quantity.count(memory.pauses)) pauses, \(Quantity.count(memory.refused)) refused"
        text += ", \(Quantity.count(memory.shed)) cut"
        return text
    }

    private func section(_ title: String, _ table: Table) -> String {
        table.isEmpty ? "" : "\(title)\n\(table.text)"
    }

    private var notEnrolled: String {
        var table = Table("NOT TAKEN IN", "WHY")
        for (found, why) in (report.notEnrolled ?? [:]).sorted(by: { $0.key < $1.key }) { table.add(found, why) }
        return table.isEmpty ? "" : table.text
    }

    /// Connections that go past the mesh until they end.
    private var older: String {
        var table = Table("POD", "OPEN", "OF", "FROM", "TO")
        for pod in report.pods {
            guard let older = pod.older, older.open > 0 else { continue }
            for (index, one) in older.listed.prefix(3).enumerated() {
                let counts =
                    index == 0
                    ? ["\(pod.namespace)/\(pod.name)", "\(older.open)", "\(older.atEnrolment)"] : ["", "", ""]
                table.add(counts[0], counts[1], counts[2], one.local, one.remote)
            }
        }
        return section("OLDER THAN ENROLMENT, SO NOT IN THE MESH (ztun pod show)", table)
    }

    private var pods: String {
        var table = Table("POD", "STATE", "SINCE", "CAPTURE", "ADDRESS", "WORKLOAD", "CONNECTIONS", "REPAIRS", "WHY")
        for pod in report.pods {
            table.add(
                "\(pod.namespace)/\(pod.name)", pod.state.rawValue, age(pod.since),
                (pod.capture ?? "") + (pod.failOpen?.inForce == true ? ", fails open" : ""),
                pod.addresses.joined(separator: ","), pod.workloadKnown ? "known" : "unknown",
                "\(pod.connections)", "\(pod.repairs)", pod.reason)
        }
        return section("PODS", table)
    }

    private var certificates: String {
        var table = Table("IDENTITY", "STATE", "EXPIRES", "RENEWS", "SERIAL", "WHY")
        for certificate in report.certificates {
            table.add(
                certificate.identity, certificate.state.rawValue, until(certificate.notAfter),
                until(certificate.nextRenewal), certificate.serialNumber, certificate.error)
        }
        return section("CERTIFICATES", table)
    }

    private var workers: String {
        var table = Table("WORKER", "ANSWERS", "CONNECTIONS", "TUNNELS", "STREAMS", "LAG")
        for worker in report.workers {
            table.add(
                "\(worker.index)", worker.answering ? "yes" : "NO", "\(worker.connections)", "\(worker.tunnels)",
                "\(worker.streams)", "\(Quantity.count(worker.loopLagMicroseconds)) µs")
        }
        return section("WORKERS", table)
    }

    private var refusals: String {
        var table = Table("REASON", "DIRECTION", "COUNT")
        for refusal in report.refusals {
            table.add(refusal.reason, refusal.direction, Quantity.count(refusal.count))
        }
        return section("REFUSALS", table)
    }

    private var problems: String {
        guard !report.problems.isEmpty else { return "" }
        return "PROBLEMS\n" + report.problems.map { "  - \(Table.printable($0))\n" }.joined()
    }

    private var recentRefusals: String {
        var table = Table("AGO", "REASON", "DIRECTION", "FROM", "TO", "PEER", "POLICY", "DETAIL")
        for refusal in report.recentRefusals.prefix(10) {
            table.add(
                age(refusal.time), refusal.reason, refusal.direction, refusal.source, refusal.destination, refusal.peer,
                refusal.policy, refusal.detail)
        }
        return section("LAST REFUSALS", table)
    }
}
