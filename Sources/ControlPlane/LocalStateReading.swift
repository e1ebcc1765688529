internal import MeshModel

/// A state file while it is read: what has come so far.
struct LocalStateReading {
    /// The lists of the file.
    enum List: String, CaseIterable { case workloads, policies, services }

    private let trustDomain: String
    private(set) var state = LocalState()
    private(set) var registry: LocalStateRegistry
    private(set) var shared: SharedValues
    private var knownWorkloads: KnownObjects<String, Workload>
    private var knownServices: KnownObjects<ServiceName, Service>
    private var knownPolicies: KnownObjects<String, AuthorizationPolicy>

    /// - Parameters:
    ///   - previous: what the file said before; what says the same now is the same object.
    ///   - shared: values that may be kept already.
    init(
        file: String, trustDomain: String, previous: LocalState = LocalState(), shared: SharedValues = SharedValues()
    ) {
        self.trustDomain = trustDomain
        self.shared = shared
        registry = LocalStateRegistry(file: file)
        knownWorkloads = KnownObjects(previous.workloads) { $0.fields.uid }
        knownServices = KnownObjects(previous.services, key: \.serviceName)
        knownPolicies = KnownObjects(previous.policies, key: \.key)
        state.workloads.reserveCapacity(previous.workloads.count)
    }

    /// Reads one element of a list.
    mutating func take(_ reader: YAMLReader, of list: List) throws(ConfigurationError) {
        switch list {
        case .workloads:
            let fields = try Workload.Fields(reading: reader, trustDomain: trustDomain)
            let known = knownWorkloads.object(fields.uid, at: state.workloads.count)
            let workload = known.flatMap { $0.fields == fields ? $0 : nil } ?? Workload(shared.sharing(fields))
            try registry.add(workload, at: reader)
            state.workloads.append(workload)
        case .services:
            let read = try Service(reading: reader)
            let known = knownServices.object(read.serviceName, at: state.services.count)
            let service = known.flatMap { $0.fields == read.fields ? $0 : nil } ?? read
            try registry.add(service, at: reader)
            state.services.append(service)
        case .policies:
            let read = try AuthorizationPolicy(reading: reader)
            let known = knownPolicies.object(read.key, at: state.policies.count)
            let policy = known.flatMap { $0.saysTheSame(as: read) ? $0 : nil } ?? read
            try registry.add(policy, at: reader)
            state.policies.append(policy)
        }
    }

    /// Reads a whole file.
    /// - Parameter seen: gets each element that was taken by itself, after it; not those of a list with an anchor.
    mutating func takeAll(
        _ bytes: [UInt8], file: String, limits: YAMLLimits, seen: (List, YAMLItem) -> Void = { _, _ in }
    ) throws(ConfigurationError) {
        let root = try YAMLDocument.parse(bytes, file: file, limits: limits) { item throws(ConfigurationError) in
            guard let list = List(rawValue: item.key) else { return }
            do throws(ConfigurationError) {
                try take(YAMLReader(item.node, file: file), of: list)
            } catch {
                throw error.inside("[\(item.index)]").inside(item.key)
            }
            seen(list, item)
        }
        let fields = try YAMLReader(root, file: file).fields(List.allCases.map(\.rawValue))
        // Lists that were not handed out: those with an anchor, and other names for them.
        for list in List.allCases {
            _ = try fields.list(list.rawValue) { reader throws(ConfigurationError) in try take(reader, of: list) }
        }
    }

    /// The whole state, after the last element.
    consuming func finish() -> LocalState {
        state.warnings = registry.warnings()
        return state
    }
}
