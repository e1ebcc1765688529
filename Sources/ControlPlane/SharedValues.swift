internal import MeshModel

/// Values that many workloads have in common, kept once: in a large mesh they are a third of its memory.
struct SharedValues: Sendable {
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

    /// How many are kept, to see when most of them are nobody's any more.
    var count: Int { texts.count + services.count + lists.count }

    // Up to 15 bytes a string has no storage of its own.
    private mutating func shared(_ text: String) -> String {
        text.utf8.count > 15 ? texts.insert(text).memberAfterInsert : text
    }

    nonisolated(unsafe) private static let texts: [WritableKeyPath<Workload.Fields, String>] = [
        \.namespace, \.network, \.trustDomain, \.serviceAccount, \.node, \.clusterID, \.workloadName, \.canonicalName,
        \.canonicalRevision, \.locality.region, \.locality.zone, \.locality.subzone,
    ]
}
