package import AdminServer
internal import ControlPlane
internal import EventLoop
internal import MeshModel
package import StatusModel
internal import Telemetry

extension Node {
    /// Which open connections and which classes of the last day would get another verdict with manifests on top of those in
    /// force, or in the place of the policies in force.
    package func policyDiff(_ request: PolicyDiffRequest) throws(WhyFailure) -> PolicyDiffReport {
        let files = request.manifests.map { (name: $0.name, bytes: Array($0.text.utf8)) }
        guard let mesh = source.withLock({ $0 })?.candidate(files, replacesPolicies: request.replace) else {
            throw WhyFailure(
                "this ztund runs from a state file, which manifests do not go on top of: start it with --manifests, or with "
                    + "the Kubernetes API, to compare policies")
        }
        let names = Set(files.map(\.name))
        let faults = mesh.diagnostics.filter { fault in fault.place.map { names.contains($0.file) } ?? false }
        let errors = faults.filter { $0.severity == .error }
        guard errors.isEmpty else {
            throw WhyFailure("nothing was compared: " + errors.prefix(10).map(\.description).joined(separator: "; "))
        }
        let snapshot = shared.withLock { $0.snapshot }
        let candidate = snapshot.replacingAll(
            workloads: mesh.workloads, services: mesh.services, policies: mesh.policies,
            networkPolicies: mesh.networkPolicies, settings: settings(over: mesh.settings))
        let now = Kernel.realtimeNow()
        let day: UInt64 = 86_400_000_000_000
        var report = PolicyDiffReport(
            program: "ztund", since: StatusTime(unixNanoseconds: max(startedAt, now > day ? now - day : 0)))
        let rehearsals = rehearse(candidate)
        report.openConnections = rehearsals.reduce(0) { $0 + $1.considered }
        report.omitted = rehearsals.reduce(0) { $0 + $1.omitted }
        report.changes = rehearsals.flatMap(\.changes).sorted {
            ($0.source, $0.destination, $0.port, $0.sourceAddress) < (
                $1.source, $1.destination, $1.port, $1.sourceAddress
            )
        }
        compareClasses(rehearsals, snapshot, candidate, at: now / 1_000_000_000, &report)
        report.notes += faults.map(\.description)
        if rehearsals.count < mailboxes.count {
            report.notes.append("\(mailboxes.count - rehearsals.count) workers did not answer: theirs is not in this")
        }
        return report
    }

    private func compareClasses(
        _ rehearsals: [PolicyRehearsal], _ snapshot: MeshSnapshot, _ candidate: MeshSnapshot, at now: UInt64,
        _ report: inout PolicyDiffReport
    ) {
        var changes: [PolicyDiffReport.Change] = []
        var unknown = 0
        let classes = FlowJournal.merged(rehearsals.flatMap(\.journal.entries))
        // A class that was carried and one that was refused ask the same question.
        var asked: Set<FlowClass> = []
        for entry in classes.sorted(by: { $0.count.last > $1.count.last }) {
            var question = entry.flows
            question.verdict = .forwarded
            let count = entry.count.lastDay(at: now)
            guard count > 0, asked.insert(question).inserted else { continue }
            report.classes += 1
            let negation = settings.admitsUnverifiedByNegation
            guard let before = ClassVerdict.decide(entry, in: snapshot, admitsUnverifiedByNegation: negation),
                let after = ClassVerdict.decide(entry, in: candidate, admitsUnverifiedByNegation: negation)
            else {
                unknown += 1
                continue
            }
            guard before.allowed != after.allowed else { continue }
            var change = PolicyDiffReport.Change(
                kind: "class", direction: entry.flows.direction.rawValue, source: entry.flows.source.text,
                destination: entry.flows.destination.text, port: entry.flows.port, service: entry.flows.service,
                mutual: entry.flows.isMutual, before: before, after: after)
            change.connections = count
            change.lastSeen = StatusTime(unixSeconds: Int64(clamping: entry.count.last))
            changes.append(change)
        }
        report.changes += changes
        if unknown > 0 {
            report.notes.append(
                "\(unknown) classes have an end that the state does not know any more: nothing is told of them")
        }
        let overflow = rehearsals.reduce(0) { $0 + $1.journal.overflow }
        if overflow > 0 { report.notes.append("the journal was full: \(overflow) connections are in no class") }
    }

    /// What all workers say; those that do not answer within five seconds are missing.
    private func rehearse(_ candidate: MeshSnapshot) -> [PolicyRehearsal] {
        let answers = Lock([PolicyRehearsal]())
        tell(.rehearse(candidate, { answer in answers.withLock { $0.append(answer) } }))
        for _ in 0..<2500 {
            let known = answers.withLock { $0 }
            if known.count == mailboxes.count { return known }
            Kernel.pause(milliseconds: 2)
        }
        return answers.withLock { $0 }
    }
}

extension FlowClass.Party {
    /// `namespace/name`, or the address.
    fileprivate var text: String {
        workload.isEmpty ? address.map { "\($0)" } ?? "others" : "\(namespace)/\(workload)"
    }
}
