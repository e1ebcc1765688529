internal import MeshModel

/// What ``StateFileReader`` remembers of a file that it has read.
struct StateFileMemory: Sendable {
    typealias List = LocalStateReading.List

    private var workloads: RememberedList<String, Workload>
    private var services: RememberedList<ServiceName, Service>
    private var policies: RememberedList<String, AuthorizationPolicy>
    private var names: StateNames
    private var shared: SharedValues
    /// ``SharedValues/count`` above which values are shared anew, since most are nobody's any more.
    private var mostShared: Int
    /// How many elements the last reading read.
    private(set) var elementsRead = 0

    /// Remembers a whole reading; nil where the reader did not find what was expected.
    init?(_ state: LocalState, _ places: StateFilePlaces, _ reading: LocalStateReading) {
        guard places.isConfirmed else { return nil }
        func known(_ list: List) -> [StateTextScan.Known] {
            guard let section = places.sections.first(where: { $0.list == list }), let values = places.values[list]
            else { return [] }
            return zip(section.fresh, values).map { fresh, values in
                var known = fresh.known
                known.values = values
                return known
            }
        }
        workloads = RememberedList(state.workloads, known: known(.workloads), key: { $0.fields.uid }) {
            $0.fields == $1.fields
        }
        services = RememberedList(state.services, known: known(.services), key: { $0.serviceName }) {
            $0.fields == $1.fields
        }
        policies = RememberedList(state.policies, known: known(.policies), key: { $0.key }) { $0.saysTheSame(as: $1) }
        guard workloads.isWhole, services.isWhole, policies.isWhole else { return nil }
        names = reading.registry.names
        shared = reading.shared
        mostShared = 2 * shared.count + 4096
    }

    /// Reads the file's next text, of which only what is new; nil where only a whole reading tells what it says. Then
    /// the value must not be used any more.
    mutating func read(_ bytes: [UInt8], file: String, trustDomain: String, limits: YAMLLimits) -> LocalState? {
        let known: [List: [StateTextScan.Known]] = [
            .workloads: workloads.known, .services: services.known, .policies: policies.known,
        ]
        guard let scan = bytes.withUnsafeBytes({ StateTextScan($0, known: known) }) else { return nil }
        var reading = LocalStateReading(file: file, trustDomain: trustDomain, shared: shared)
        var values: [List: [UInt32]] = [:]
        for section in scan.sections {
            guard let found = Self.readFresh(of: section, bytes, into: &reading, file: file, limits) else { return nil }
            values[section.list] = found
        }
        let fresh = reading.state
        func section(_ list: List) -> StateTextScan.Section? { scan.sections.first { $0.list == list } }
        guard
            let workloadEdit = workloads.replace(
                with: section(.workloads), fresh: fresh.workloads, values: values[.workloads] ?? []),
            let serviceEdit = services.replace(
                with: section(.services), fresh: fresh.services, values: values[.services] ?? []),
            let policyEdit = policies.replace(
                with: section(.policies), fresh: fresh.policies, values: values[.policies] ?? []),
            scan.frameValues + workloads.values + services.values + policies.values <= limits.nodes
        else { return nil }
        names.apply(workloads: workloadEdit, services: serviceEdit, policies: policyEdit)
        elementsRead = fresh.workloads.count + fresh.services.count + fresh.policies.count
        shared = reading.shared
        if shared.count > mostShared { shareAnew() }
        var state = LocalState()
        (state.workloads, state.services, state.policies) = (workloads.objects, services.objects, policies.objects)
        state.warnings = warnings(file: file, firstLine: section(.workloads)?.line ?? 0)
        state.difference = MeshChanges(
            workloads: workloadEdit.come, services: serviceEdit.come, policies: policyEdit.come,
            removedWorkloads: workloadEdit.removed, removedServices: serviceEdit.removed,
            removedPolicies: policyEdit.removed)
        return state
    }

    /// Reads the fresh elements of a list, those that follow each other in one go.
    /// - Returns: how many values each counts for; nil when the reader finds anything else than just these elements.
    private static func readFresh(
        of section: StateTextScan.Section, _ bytes: [UInt8], into reading: inout LocalStateReading, file: String,
        _ limits: YAMLLimits
    ) -> [UInt32]? {
        var values: [UInt32] = []
        var rest = section.fresh[...]
        while let first = rest.first {
            var count = 1
            for element in rest.dropFirst() {
                guard element.position == first.position + count else { break }
                count += 1
            }
            let run = rest.prefix(count)
            rest = rest.dropFirst(count)
            let range = first.bytes.lowerBound..<(run.last?.bytes.upperBound ?? first.bytes.upperBound)
            // Other line ends than line feeds, and marks that count as one, are for the whole reading.
            guard bytes.withUnsafeBytes({ StateText(bytes: $0).isPrintable(range) }) else { return nil }
            let text = Array("\(section.list.rawValue):\n".utf8) + bytes[range]
            var places = StateFilePlaces(run, in: section, lines: first.line - 2)
            do throws(ConfigurationError) {
                try reading.takeAll(text, file: file, limits: limits) { list, item in places.confirm(item, of: list) }
            } catch {
                // The whole reading says it with the right line.
                return nil
            }
            guard places.isConfirmed, let found = places.values[section.list] else { return nil }
            values += found
        }
        return values
    }

    private func warnings(file: String, firstLine: Int) -> [String] {
        let dangling = names.dangling
        guard !dangling.policies.isEmpty || !dangling.services.isEmpty else { return [] }
        var registry = LocalStateRegistry(file: file)
        var line = firstLine
        for (workload, known) in zip(workloads.objects, workloads.known) {
            registry.noteUses(
                by: workload, line: line, policies: { dangling.policies.contains($0) },
                services: { dangling.services.contains($0) })
            line += Int(known.lines)
        }
        return registry.warnings()
    }

    private mutating func shareAnew() {
        var anew = SharedValues()
        for workload in workloads.objects { _ = anew.sharing(workload.fields) }
        shared = anew
        mostShared = 2 * anew.count + 4096
    }
}
