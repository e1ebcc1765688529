internal import MeshModel

/// Makes the parts of a mesh from Kubernetes resources, as istiod does for ambient; one for every source of resources.
///
/// A pure function of the objects and the settings. What it keeps between the parts of a compilation is also what
/// ``MeshAssembly`` needs to compile a part of a mesh again.
struct MeshCompiler: Sendable {
    let settings: KubernetesSettings
    var objects: ObjectSet
    /// What is told of the mesh as a whole, and of all objects that have no unit of their own.
    var diagnostics: [ManifestDiagnostic] = []
    /// What is told of parts that can be compiled again by themselves; none is empty.
    var units: [Unit: [ManifestDiagnostic]] = [:]
    /// Whether a unit tells something else than it did; for whoever compiles parts to clear.
    var isToldAnew = false
    /// What attaches policies to workloads.
    var attachments: Attachments
    /// How many pods that are not over carry each set of labels, by namespace.
    var labelsInUse: [String: [LabelSet: Int]] = [:]
    /// By namespace and name of the Gateway.
    var waypoints: [ObjectName: Waypoint] = [:]
    /// For each pod: the services it is an endpoint of, with their ports, and whether a slice says it is not ready.
    var memberships: [ObjectName: Membership] = [:]
    var trustDomain: String
    var rootNamespace: String

    /// A waypoint that services and workloads can be bound to.
    struct Waypoint: Sendable {
        var address: GatewayAddress
        var servesServices: Bool
        var servesWorkloads: Bool
        var gateway: Kubernetes.Gateway
    }

    /// A part that can be compiled again by itself.
    enum Unit: Hashable, Sendable {
        case pod(ObjectName)
        case slice(ObjectName)
        /// A service whose endpoints are what its selector selects.
        case selectingService(ObjectName)
        /// The selectors of a namespace's policies.
        case selectors(String)
    }

    /// What endpoint slices and selectors say of one pod.
    struct Membership: Sendable {
        var services: [ServiceName: [UInt16: UInt16]] = [:]
        var isNotReady = false

        /// Adds ports of a service; the pods of one slice share them.
        mutating func add(_ ports: [UInt16: UInt16], of service: ServiceName) {
            if services[service]?.merge(ports, uniquingKeysWith: { $1 }) == nil { services[service] = ports }
        }
    }

    init(_ objects: ObjectSet, _ settings: KubernetesSettings) {
        self.objects = objects
        self.settings = settings
        trustDomain = objects.meshConfig?.trustDomain ?? settings.trustDomain
        rootNamespace = objects.meshConfig?.rootNamespace ?? settings.rootNamespace
        attachments = Attachments(peers: PeerAuthenticationConversion([], rootNamespace: rootNamespace))
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
        mesh.policies = compilePolicies()
        mesh.workloads = workloads.map { Workload($0) }
        workloads = []
        mesh.workloads.reserveCapacity(mesh.workloads.count + objects.pods.count)
        for name in objects.pods.names.sorted() {
            if let workload = compilePod(name) { mesh.workloads.append(workload) }
        }
        memberships = [:]
        countLabels()
        for namespace in objects.selectorNamespaces { tellOfSelectors(in: namespace) }
        mesh.routes = compileRoutes()
        mesh.routes += compileVirtualServices(services, routed: mesh.routes)
        mesh.networkPolicies = compileNetworkPolicies()
        mesh.settings = compileSettings()
        mesh.services = services
        mesh.diagnostics = allDiagnostics
        return mesh
    }

    /// Everything that is told, errors first.
    var allDiagnostics: [ManifestDiagnostic] { (diagnostics + units.values.joined()).sorted() }

    /// Compiles a part, keeping what it tells apart from the rest.
    mutating func unit<Result>(_ unit: Unit, _ body: (inout MeshCompiler) -> Result) -> Result {
        let others = diagnostics
        diagnostics = []
        let result = body(&self)
        if units[unit] ?? [] != diagnostics {
            units[unit] = diagnostics.isEmpty ? nil : diagnostics
            isToldAnew = true
        }
        diagnostics = others
        return result
    }

    /// A pod as a workload, with the policies attached to it; its membership must be known. Nil for one that is no part of
    /// the mesh.
    mutating func compilePod(_ name: ObjectName) -> Workload? {
        unit(.pod(name)) { compiler in
            guard let pod = compiler.objects.pods[name], var fields = compiler.compile(pod) else { return nil }
            fields.authorizationPolicies = compiler.policyKeys(namespace: name.namespace, labels: pod.metadata.labels)
            return Workload(fields)
        }
    }

    private mutating func countLabels() {
        labelsInUse = [:]
        for (name, pod) in objects.pods where !pod.isOver {
            labelsInUse[name.namespace, default: [:]][pod.metadata.labels, default: 0] += 1
        }
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
