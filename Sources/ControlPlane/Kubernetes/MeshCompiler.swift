internal import MeshModel

/// Makes the parts of a mesh from Kubernetes resources, as istiod does for ambient; one for every source of resources.
///
/// A pure function of the objects and the settings.
struct MeshCompiler {
    let settings: KubernetesSettings
    let objects: ObjectSet
    var diagnostics: [ManifestDiagnostic] = []
    /// By namespace and name of the Gateway.
    var waypoints: [ObjectName: Waypoint] = [:]
    /// For each pod: the services it is an endpoint of, with their ports, and whether a slice says it is not ready.
    var memberships: [ObjectName: Membership] = [:]
    var trustDomain: String
    var rootNamespace: String

    /// A waypoint that services and workloads can be bound to.
    struct Waypoint {
        var address: GatewayAddress
        var servesServices: Bool
        var servesWorkloads: Bool
        var gateway: Kubernetes.Gateway
    }

    /// What endpoint slices and selectors say of one pod.
    struct Membership {
        var services: [ServiceName: [UInt16: UInt16]] = [:]
        var isNotReady = false
    }

    init(_ objects: ObjectSet, _ settings: KubernetesSettings) {
        self.objects = objects
        self.settings = settings
        trustDomain = objects.meshConfig?.trustDomain ?? settings.trustDomain
        rootNamespace = objects.meshConfig?.rootNamespace ?? settings.rootNamespace
    }

    /// Compiles everything.
    mutating func compile() -> CompiledMesh {
        var mesh = CompiledMesh()
        findWaypoints()
        var workloads: [Workload.Fields] = []
        joinPodsAndServices(&workloads)
        var services = compileEntries(&workloads).map { Service($0) }
        for name in objects.services.keys.sorted() {
            guard let service = objects.services[name], let fields = compile(service) else { continue }
            services.append(Service(fields))
        }
        let (policies, attachments) = compilePolicies()
        var used: Set<String> = []
        for name in objects.pods.keys.sorted() {
            guard let pod = objects.pods[name], var fields = compile(pod) else { continue }
            fields.authorizationPolicies = policyKeys(
                namespace: name.namespace, labels: pod.metadata.labels, attachments)
            used.formUnion(fields.authorizationPolicies)
            workloads.append(fields)
        }
        tellOfIdlePolicies(used, attachments)
        mesh.policies = policies
        mesh.routes = compileRoutes()
        mesh.routes += compileVirtualServices(services, routed: mesh.routes)
        mesh.networkPolicies = compileNetworkPolicies()
        mesh.settings = compileSettings()
        mesh.services = services
        mesh.workloads = workloads.map { Workload($0) }
        mesh.diagnostics = diagnostics.sorted()
        return mesh
    }

    mutating func tell(
        _ severity: ManifestDiagnostic.Severity, _ code: ManifestDiagnostic.Code, _ kind: String,
        _ metadata: Kubernetes.Metadata, _ text: String
    ) {
        diagnostics.append(
            ManifestDiagnostic(
                severity, code,
                ObjectReference(kind: kind, namespace: metadata.namespace, name: metadata.name), at: metadata.place,
                text))
    }

    func hostname(_ name: ObjectName) -> String { "\(name.name).\(name.namespace).svc.\(settings.clusterDomain)" }

    func serviceName(_ name: ObjectName) -> ServiceName {
        ServiceName(namespace: name.namespace, hostname: hostname(name))
    }
}
