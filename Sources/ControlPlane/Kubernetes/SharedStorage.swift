internal import MeshModel

/// What many objects of one kind have in common, kept once.
struct SharedStorage {
    var labels: Set<LabelSet> = []
    private var annotations: Set<[String: String]> = []
    private var ports: Set<[String: UInt16]> = []
    private var texts: Set<String> = []

    /// More than live objects share in practice; what nobody carries any more must not stay for ever.
    private static let limit = 20_000

    /// Lets what is equal in an object and in those before it share storage, and drops what nobody reads.
    mutating func share(_ object: inout KubernetesObject) {
        if labels.count > Self.limit || texts.count > Self.limit { self = SharedStorage() }
        object.share(&labels)
        switch object {
        case .pod(var pod):
            pod.metadata.created = ""
            pod.metadata.annotations = annotations.insert(pod.metadata.annotations).memberAfterInsert
            pod.metadata.namespace = text(pod.metadata.namespace)
            pod.ports = ports.insert(pod.ports).memberAfterInsert
            pod.serviceAccount = text(pod.serviceAccount)
            pod.node = text(pod.node)
            pod.workloadName = text(pod.workloadName)
            object = .pod(pod)
        case .endpointSlice(var slice):
            slice.metadata.created = ""
            slice.metadata.annotations = [:]
            for index in slice.endpoints.indices {
                slice.endpoints[index].node = text(slice.endpoints[index].node)
                slice.endpoints[index].zone = text(slice.endpoints[index].zone)
            }
            object = .endpointSlice(slice)
        default: break
        }
    }

    private mutating func text(_ text: String) -> String {
        // Short ones need no storage.
        text.utf8.count > 15 ? texts.insert(text).memberAfterInsert : text
    }
}
