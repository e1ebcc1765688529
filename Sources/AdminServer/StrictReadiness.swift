internal import MeshModel
internal import StatusModel
internal import Telemetry

/// Whether pods could take mutual TLS only, judged by who called them in the last day.
struct StrictReadiness {
    let namespace: String
    /// A pod or a deployment; empty for the whole namespace.
    let workload: String
    /// The pods of this node, `namespace/name`.
    let pods: [String]
    let snapshot: MeshSnapshot
    let answers: [WorkerAnswer]
    let silentWorkers: Int
    /// Since when the program looks, and now: nanoseconds since 1970.
    let since: UInt64
    let now: UInt64

    func report(program: String) -> StrictReport {
        let day: UInt64 = 86_400_000_000_000
        var report = StrictReport(
            program: program, namespace: namespace, workload: workload,
            since: StatusTime(unixNanoseconds: max(since, now > day ? now - day : 0)))
        let here = Set(pods)
        for other in snapshot.allWorkloads where means(other) && other.fields.tunnelProtocol == .hbone {
            if here.contains("\(other)") {
                report.pods.append("\(other)")
            } else {
                report.elsewhere[other.fields.node.isEmpty ? "unknown" : other.fields.node, default: []].append(
                    "\(other)")
            }
        }
        report.pods.sort()
        for node in report.elsewhere.keys { report.elsewhere[node]?.sort() }
        judge(&report)
        return report
    }

    private func judge(_ report: inout StrictReport) {
        var callers: [FlowClass: StrictReport.Caller] = [:]
        for entry in WorkerAnswer.journal(answers) where isInbound(entry.flows) {
            let count = entry.count.lastDay(at: now / 1_000_000_000)
            guard count > 0 else { continue }
            if entry.flows.isMutual {
                report.mutualConnections += count
            } else {
                callers[entry.flows] = caller(entry.flows, count, entry.count)
            }
        }
        let moment = FlowCount(at: now / 1_000_000_000)
        for open in answers.flatMap(\.live) where open.direction == .inbound && open.transport == .tcp {
            guard let flows = flowClass(of: open), isInbound(flows) else { continue }
            callers[flows, default: caller(flows, 0, moment)].open += 1
            callers[flows]?.lastSeen = StatusTime(unixNanoseconds: now)
        }
        report.mutualConnections += UInt64(
            answers.flatMap(\.live).count { open in
                open.direction == .inbound && open.transport == .hbone && report.pods.contains(open.pod)
            })
        report.callers = callers.values.sorted { a, b in
            (b.lastSeen, a.workload, a.address, a.port) < (a.lastSeen, b.workload, b.address, b.port)
        }
        report.overflow = answers.reduce(0) { $0 + ($1.journal?.overflow ?? 0) }
        let isCalled = report.callers.contains { $0.verdict != FlowVerdict.refused.rawValue }
        if isCalled {
            report.verdict = .notReady
        } else if report.pods.isEmpty || report.mutualConnections == 0 || silentWorkers > 0 {
            report.verdict = .noData
        } else {
            report.verdict = .ready
        }
        note(&report)
    }

    private func note(_ report: inout StrictReport) {
        if report.pods.isEmpty {
            let what = workload.isEmpty ? "namespace \(namespace)" : "workload \(namespace)/\(workload)"
            report.notes.append("this node takes care of no pod of \(what)")
        } else if report.mutualConnections == 0, report.callers.isEmpty {
            report.notes.append("nobody has called since \(report.since): wait until those who should have called")
        }
        if silentWorkers > 0 {
            report.notes.append("\(silentWorkers) workers did not answer: what they have seen is not in this")
        }
        if report.overflow > 0 {
            report.notes.append("the journal was full: \(report.overflow) connections are in no class")
        }
        if !report.elsewhere.isEmpty {
            report.notes.append("pods on other nodes are judged there: ask the ztund of each node")
        }
    }

    private func means(_ candidate: Workload) -> Bool {
        let fields = candidate.fields
        return fields.namespace == namespace
            && (workload.isEmpty || fields.name == workload || fields.workloadName == workload)
    }

    /// Whether a class is of calls to these pods; the class has the deployment's name, the question may have a pod's.
    private func isInbound(_ flows: FlowClass) -> Bool {
        guard flows.direction == .inbound, flows.destination.namespace == namespace else { return false }
        if workload.isEmpty || flows.destination.workload == workload { return true }
        let pod = snapshot.workload(namespace: namespace, name: workload)
        return pod?.fields.workloadName == flows.destination.workload
    }

    private func flowClass(of open: LiveConnection) -> FlowClass? {
        guard let slash = open.pod.firstIndex(of: "/"),
            let pod = snapshot.workload(
                namespace: String(open.pod[..<slash]), name: String(open.pod[open.pod.index(after: slash)...]))
        else { return nil }
        let source = snapshot.workload(at: NetworkAddress(network: pod.fields.network, ip: open.source.ip))
        return FlowClass(
            direction: .inbound, source: FlowClass.Party(source, identity: nil, address: open.source.ip),
            destination: FlowClass.Party(pod, identity: nil, address: open.destination.ip), service: "",
            port: open.destination.port, verdict: .forwarded, isMutual: false)
    }

    private func caller(_ flows: FlowClass, _ count: UInt64, _ seen: FlowCount) -> StrictReport.Caller {
        let source = flows.source
        let isKnown = !source.workload.isEmpty
        let others = snapshot.workloads(namespace: source.namespace, named: source.workload)
        return StrictReport.Caller(
            workload: isKnown ? "\(source.namespace)/\(source.workload)" : "",
            address: isKnown ? "" : source.address.map { "\($0)" } ?? "others",
            inMesh: others.contains { $0.fields.tunnelProtocol == .hbone },
            destination: "\(flows.destination.namespace)/\(flows.destination.workload)", port: flows.port,
            verdict: flows.verdict.rawValue, connections: count, open: 0,
            firstSeen: StatusTime(unixSeconds: Int64(clamping: seen.first)),
            lastSeen: StatusTime(unixSeconds: Int64(clamping: seen.last)))
    }
}

extension MeshSnapshot {
    /// The workloads of a deployment, or the one of that name.
    fileprivate func workloads(namespace: String, named name: String) -> [Workload] {
        if let one = workload(namespace: namespace, name: name) { return [one] }
        return allWorkloads.filter { $0.fields.namespace == namespace && $0.fields.workloadName == name }
    }
}
