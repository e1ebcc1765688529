internal import MeshModel

extension KubernetesObject {
    /// Lets equal label sets share storage: pods of one Deployment differ in nothing there.
    mutating func share(_ known: inout Set<LabelSet>) {
        func shared(_ labels: LabelSet) -> LabelSet { known.insert(labels).memberAfterInsert }
        switch self {
        case .pod(var pod):
            pod.metadata.labels = shared(pod.metadata.labels)
            self = .pod(pod)
        case .service(var service):
            service.metadata.labels = shared(service.metadata.labels)
            service.selector = service.selector.map(shared)
            self = .service(service)
        case .endpointSlice(var slice):
            // Only the one label is used, and it is read already.
            slice.metadata.labels = .empty
            self = .endpointSlice(slice)
        default: break
        }
    }
}
