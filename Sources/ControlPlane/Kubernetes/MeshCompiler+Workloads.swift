internal import MeshModel

extension MeshCompiler {
    /// What a pod is called as a workload.
    func uid(ofPod name: ObjectName) -> String { "\(settings.clusterID)//Pod/\(name.namespace)/\(name.name)" }

    /// A pod as the mesh sees it; nil while it has no address, and when it will not run again.
    mutating func compile(_ pod: Kubernetes.Pod) -> Workload.Fields? {
        guard !pod.isOver else { return nil }
        guard !pod.addresses.isEmpty else {
            tell(.warning, .ignored, "Pod", pod.metadata, "it has no address yet (status.podIPs): nobody can reach it")
            return nil
        }
        let name = ObjectName(pod.metadata)
        let labels = pod.metadata.labels
        let membership = memberships[name]
        var fields = Workload.Fields()
        fields.uid = uid(ofPod: name)
        fields.name = name.name
        fields.namespace = name.namespace
        fields.addresses = pod.addresses
        fields.network = labels["topology.istio.io/network"] ?? settings.network
        fields.networkMode = pod.isHostNetwork ? .hostNetwork : .standard
        fields.trustDomain = trustDomain
        fields.serviceAccount = pod.serviceAccount
        fields.node = pod.node
        fields.clusterID = settings.clusterID
        fields.workloadName = pod.workloadName
        fields.canonicalName =
            labels["service.istio.io/canonical-name"] ?? labels["app.kubernetes.io/name"] ?? labels["app"]
            ?? pod.workloadName
        fields.canonicalRevision =
            labels["service.istio.io/canonical-revision"] ?? labels["app.kubernetes.io/version"] ?? labels["version"]
            ?? "latest"
        fields.locality = locality(ofNode: pod.node)
        fields.labels = labels
        fields.ports = pod.ports
        fields.services = membership?.services ?? [:]
        let isReady = !pod.metadata.isDeleting && pod.isReady != false && membership?.isNotReady != true
        fields.health = isReady ? .healthy : .unhealthy
        let isWaypoint = waypoint(servedBy: pod) != nil
        if isWaypoint || labels["networking.istio.io/tunnel"] == "http" {
            fields.tunnelProtocol = .hbone
            fields.nativeTunnel = true
        } else if isEnrolled(pod) {
            fields.tunnelProtocol = .hbone
        }
        if !isWaypoint { fields.waypoint = waypoint(of: pod) }
        fields.failsOpen = pod.metadata.annotations["ztun.io/fail-open"] == "true"
        fields.reroutedInterfaces =
            pod.metadata.annotations["istio.io/reroute-virtual-interfaces"]
            ?? pod.metadata.annotations["traffic.sidecar.istio.io/kubevirtInterfaces"] ?? ""
        guard SpiffeID(Workload(fields).identity.description) != nil else {
            tell(
                .error, .invalid, "Pod", pod.metadata,
                "its ServiceAccount \(pod.serviceAccount.quoted) gives no valid identity")
            return nil
        }
        return fields
    }

    /// Whether a pod is in the mesh: as the CNI plugin of Istio says where it says anything, else by the labels that
    /// it would go by.
    func isEnrolled(_ pod: Kubernetes.Pod) -> Bool {
        if let said = pod.metadata.annotations["ambient.istio.io/redirection"] { return said == "enabled" }
        guard !pod.isHostNetwork, pod.metadata.annotations["sidecar.istio.io/status"] == nil else { return false }
        switch pod.metadata.labels["istio.io/dataplane-mode"] {
        case "ambient": return true
        case "none": return false
        default:
            let labels = objects.namespaces[pod.metadata.namespace]?.metadata.labels
            return labels?["istio.io/dataplane-mode"] == "ambient"
        }
    }
}
