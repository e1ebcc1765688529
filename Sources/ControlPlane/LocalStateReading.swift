internal import MeshModel

/// A state file while it is read: what has come so far.
struct LocalStateReading {
    /// The lists of the file.
    enum List: String, CaseIterable { case workloads, policies, services }

    private let trustDomain: String
    private var state = LocalState()
    private var registry: LocalStateRegistry
    private var shared = SharedValues()
    private var knownWorkloads: KnownObjects<String, Workload>
    private var knownServices: KnownObjects<ServiceName, Service>
    private var knownPolicies: KnownObjects<String, AuthorizationPolicy>

    init(file: String, trustDomain: String, previous: LocalState) {
        self.trustDomain = trustDomain
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

    /// The whole state, after the last element.
    consuming func finish() -> LocalState {
        state.warnings = registry.warnings()
        return state
    }
}

/// Objects of the last state by key; most stand at the same place of their list again.
private struct KnownObjects<Key: Hashable, Object> {
    private let objects: [Object]
    private let key: (Object) -> Key
    // Made only when the order has changed.
    private var byKey: [Key: Object]?

    init(_ objects: [Object], key: @escaping (Object) -> Key) {
        self.objects = objects
        self.key = key
    }

    mutating func object(_ wanted: Key, at index: Int) -> Object? {
        if index < objects.count, key(objects[index]) == wanted { return objects[index] }
        if let byKey { return byKey[wanted] }
        guard !objects.isEmpty else { return nil }
        let made = Dictionary(objects.map { (key($0), $0) }) { $1 }
        byKey = made
        return made[wanted]
    }
}

/// Values that many workloads have in common, kept once: in a large mesh they are a third of its memory.
private struct SharedValues {
    private var texts: Set<String> = []
    private var services: Set<[ServiceName: [UInt16: UInt16]]> = []
    private var lists: Set<[String]> = []

    /// The same fields, with storage shared with the workloads before.
    mutating func sharing(_ fields: Workload.Fields) -> Workload.Fields {
        var fields = fields
        for path in Self.texts { fields[keyPath: path] = shared(fields[keyPath: path]) }
        if !fields.services.isEmpty { fields.services = services.insert(fields.services).memberAfterInsert }
        if !fields.authorizationPolicies.isEmpty {
            fields.authorizationPolicies = lists.insert(fields.authorizationPolicies).memberAfterInsert
        }
        return fields
    }

    // Up to 15 bytes a string has no storage of its own.
    private mutating func shared(_ text: String) -> String {
        text.utf8.count > 15 ? texts.insert(text).memberAfterInsert : text
    }

    nonisolated(unsafe) private static let texts: [WritableKeyPath<Workload.Fields, String>] = [
        \.namespace, \.network, \.trustDomain, \.serviceAccount, \.node, \.clusterID, \.workloadName, \.canonicalName,
        \.canonicalRevision, \.locality.region, \.locality.zone, \.locality.subzone,
    ]
}
