internal import MeshModel

/// The objects that the API server has, as last told, and the mesh they make, compiled anew only where it may have changed.
///
/// Pods and endpoint slices, which change all the time, are compiled by themselves, with what they touch: a slice its pods, a pod
/// the slices that name it. A change of anything else compiles everything.
package struct MeshAssembly: Sendable {
    private let settings: KubernetesSettings
    var compiler: MeshCompiler
    /// Objects whose newest version cannot be read, with why.
    private var refused: [ObjectReference: ManifestDiagnostic] = [:]
    private var isWhole = true
    /// Everything that is told, errors first.
    package private(set) var diagnostics: [ManifestDiagnostic] = []

    // MARK: Indexes, of the last whole compilation and kept since

    private var slicesOfService: [ObjectName: Set<ObjectName>] = [:]
    private var slicesOfPod: [ObjectName: [ObjectName]] = [:]
    /// Services without slices, with a selector, by namespace.
    private var selectingServices: [String: Set<ObjectName>] = [:]
    /// Uids of endpoints that are no pods.
    private var othersOfSlice: [ObjectName: [String]] = [:]
    /// Namespaces in which ServiceEntries select pods: there a pod is more than itself and its slices.
    private var entryNamespaces: Set<String> = []

    /// What has to be compiled again.
    private struct Stale {
        var pods: Set<ObjectName> = []
        var slices: Set<ObjectName> = []
        var services: Set<ObjectName> = []
        /// Namespaces in which a set of labels has appeared or gone.
        var namespaces: Set<String> = []
    }

    package init(settings: KubernetesSettings) {
        self.settings = settings
        compiler = MeshCompiler(ObjectSet(), settings)
    }

    /// Takes what was said of objects.
    /// - Returns: nil where nothing changes; everything at the first time.
    package mutating func apply(_ edits: ObjectEdits) -> MeshUpdate? {
        take(edits)
        return compile()
    }

    /// Takes what was said before anything is compiled.
    package mutating func take(_ edits: ObjectEdits) {
        for edit in edits.all { take(edit) }
    }

    private var stale = Stale()

    /// Compiles what may have changed.
    package mutating func compile() -> MeshUpdate? {
        defer { stale = Stale() }
        if isWhole { return .whole(compileWhole()) }
        guard !stale.pods.isEmpty || !stale.slices.isEmpty || !stale.services.isEmpty else { return nil }
        return .part(compilePart())
    }

    /// What would be in force with files on top.
    /// - Parameter replacesPolicies: whether the policies in force are left out.
    func candidate(_ files: [(name: String, bytes: [UInt8])], replacesPolicies: Bool) -> CompiledMesh {
        var labels: Set<LabelSet> = []
        var other = MeshAssembly(settings: settings)
        other.compiler.objects = compiler.objects
        other.refused = refused
        if replacesPolicies {
            other.compiler.objects.removePolicies()
            other.refused = [:]
        }
        var diagnostics: [ManifestDiagnostic] = []
        for (name, bytes) in files {
            let file = ManifestFile(bytes, file: name, labels: &labels)
            for object in file.objects {
                other.compiler.objects.insert(object)
                other.refused[object.reference] = nil
            }
            diagnostics += file.diagnostics
        }
        var mesh = other.compileWhole()
        mesh.diagnostics = (mesh.diagnostics + diagnostics).sorted()
        return mesh
    }

    // MARK: - Edits

    private mutating func take(_ edit: ObjectEdit) {
        switch edit {
        case .upsert(let object):
            if refused.removeValue(forKey: object.reference) != nil { isWhole = true }
            switch object {
            case .pod(let pod): takePod(ObjectName(pod.metadata), pod)
            case .endpointSlice(let slice): takeSlice(ObjectName(slice.metadata), slice)
            default:
                guard compiler.objects[object.reference] != object else { return }
                compiler.objects.insert(object)
                isWhole = true
            }
        case .remove(let reference):
            if refused.removeValue(forKey: reference) != nil { isWhole = true }
            let name = ObjectName(reference.namespace, reference.name)
            switch reference.kind {
            case "Pod": takePod(name, nil)
            case "EndpointSlice": takeSlice(name, nil)
            default:
                guard compiler.objects[reference] != nil else { return }
                compiler.objects.remove(reference)
                isWhole = true
            }
        case .sweep(let kind, let kept):
            let gone = (compiler.objects.references(of: kind) + refused.keys.filter { $0.kind == kind })
                .filter { !kept.contains($0) }
            for reference in gone { take(.remove(reference)) }
        case .refuse(let reference, let diagnostic):
            guard refused[reference] != diagnostic else { return }
            refused[reference] = diagnostic
            isWhole = true
        }
    }

    private mutating func takePod(_ name: ObjectName, _ pod: Kubernetes.Pod?) {
        let old = compiler.objects.pods[name]
        guard old != pod else { return }
        compiler.objects.pods[name] = pod
        if entryNamespaces.contains(name.namespace) { isWhole = true }
        guard !isWhole else { return }
        stale.pods.insert(name)
        let (before, after) = (old.flatMap { $0.isOver ? nil : $0 }, pod.flatMap { $0.isOver ? nil : $0 })
        count(before?.metadata.labels, after?.metadata.labels, in: name.namespace)
        // A slice that names a pod that is not there says so.
        if (old == nil) != (pod == nil) { stale.slices.formUnion(slicesOfPod[name] ?? []) }
    }

    /// Keeps count of the labels in use.
    private mutating func count(_ before: LabelSet?, _ after: LabelSet?, in namespace: String) {
        guard before != after else { return }
        if let before, let count = compiler.labelsInUse[namespace]?[before] {
            compiler.labelsInUse[namespace]?[before] = count > 1 ? count - 1 : nil
            if count == 1 { stale.namespaces.insert(namespace) }
        }
        if let after {
            compiler.labelsInUse[namespace, default: [:]][after, default: 0] += 1
            if compiler.labelsInUse[namespace]?[after] == 1 { stale.namespaces.insert(namespace) }
        }
    }

    private mutating func takeSlice(_ name: ObjectName, _ slice: Kubernetes.EndpointSlice?) {
        let old = compiler.objects.endpointSlices[name]
        guard old != slice else { return }
        compiler.objects.endpointSlices[name] = slice
        if entryNamespaces.contains(name.namespace) { isWhole = true }
        guard !isWhole else { return }
        stale.slices.insert(name)
        let (before, after) = (old?.endpoints ?? [], slice?.endpoints ?? [])
        let isAllNew = old?.owner != slice?.owner || old?.ports != slice?.ports
        let kept = isAllNew ? [] : Set(before).intersection(after)
        for endpoint in before + after where !kept.contains(endpoint) {
            if let pod = endpoint.pod { stale.pods.insert(ObjectName(name.namespace, pod)) }
        }
        for pod in Set(before.compactMap(\.pod)) { unlink(name, ObjectName(name.namespace, pod)) }
        for pod in Set(after.compactMap(\.pod)) {
            slicesOfPod[ObjectName(name.namespace, pod), default: []].append(name)
        }
        guard old?.owner != slice?.owner else { return }
        if let owner = old?.owner {
            slicesOfService[owner]?.remove(name)
            if slicesOfService[owner]?.isEmpty ?? false {
                slicesOfService[owner] = nil
                changeSelection(owner)
            }
        }
        if let owner = slice?.owner {
            if slicesOfService[owner] == nil { changeSelection(owner) }
            slicesOfService[owner, default: []].insert(name)
        }
    }

    private mutating func unlink(_ slice: ObjectName, _ pod: ObjectName) {
        slicesOfPod[pod]?.removeAll { $0 == slice }
        if slicesOfPod[pod]?.isEmpty ?? false { slicesOfPod[pod] = nil }
    }

    /// A service has got its first slice or lost its last: its selector ends or begins to say what its endpoints are.
    private mutating func changeSelection(_ name: ObjectName) {
        guard let service = compiler.objects.services[name], service.selects, let selector = service.selector else {
            return
        }
        stale.services.insert(name)
        for (pod, object) in compiler.objects.pods
        where pod.namespace == name.namespace
            && selector.labels.allSatisfy({ object.metadata.labels[$0.key] == $0.value })
        {
            stale.pods.insert(pod)
        }
    }

    // MARK: - Compiling

    private mutating func compileWhole() -> CompiledMesh {
        var objects = compiler.objects
        // A policy of which no version could ever be read closes what it may be for.
        objects.unreadablePolicies = refused.keys.sorted().filter { objects[$0] == nil }.map {
            ManifestFile.Refused(reference: $0, place: refused[$0]?.place ?? ManifestPlace(file: "", line: 0))
        }
        compiler = MeshCompiler(objects, settings)
        let mesh = compiler.compile()
        compiler.diagnostics += refused.values
        diagnostics = compiler.allDiagnostics
        index()
        isWhole = false
        var told = mesh
        told.diagnostics = diagnostics
        return told
    }

    private mutating func index() {
        (slicesOfService, slicesOfPod, selectingServices, othersOfSlice) = ([:], [:], [:], [:])
        let objects = compiler.objects
        for (name, slice) in objects.endpointSlices {
            if let owner = slice.owner { slicesOfService[owner, default: []].insert(name) }
            for pod in Set(slice.endpoints.compactMap(\.pod)) {
                slicesOfPod[ObjectName(name.namespace, pod), default: []].append(name)
            }
            if slice.endpoints.contains(where: { $0.pod == nil }) {
                othersOfSlice[name] = compiler.uids(of: slice)
            }
        }
        for (name, service) in objects.services where service.selects && slicesOfService[name] == nil {
            selectingServices[name.namespace, default: []].insert(name)
        }
        entryNamespaces = Set(objects.serviceEntries.filter { $0.value.selector != nil }.map(\.key.namespace))
    }

    private mutating func compilePart() -> MeshChanges {
        var changes = MeshChanges()
        compiler.isToldAnew = false
        for name in stale.services { compileSelection(name) }
        for name in stale.slices.sorted() {
            let others = compiler.joinSlice(name)
            let uids = others.map(\.uid)
            changes.removedWorkloads += (othersOfSlice[name] ?? []).filter { !uids.contains($0) }
            othersOfSlice[name] = uids.isEmpty ? nil : uids
            changes.workloads += others.map { Workload($0) }
        }
        for name in stale.pods.sorted() {
            let services = selectingServices[name.namespace]?.sorted() ?? []
            compiler.memberships = [:]
            compiler.memberships[name] = compiler.membership(
                of: name, slices: slicesOfPod[name] ?? [], services: services)
            if let workload = compiler.compilePod(name) {
                changes.workloads.append(workload)
            } else {
                changes.removedWorkloads.append(compiler.uid(ofPod: name))
            }
        }
        compiler.memberships = [:]
        if !stale.namespaces.isEmpty { compileSelectors() }
        if compiler.isToldAnew { diagnostics = compiler.allDiagnostics }
        return changes
    }

    private mutating func compileSelection(_ name: ObjectName) {
        if slicesOfService[name] != nil {
            selectingServices[name.namespace]?.remove(name)
            compiler.unit(.selectingService(name)) { _ in }
        } else {
            selectingServices[name.namespace, default: []].insert(name)
            tellOfSelector(name)
        }
    }

    private mutating func tellOfSelector(_ name: ObjectName) {
        guard let service = compiler.objects.services[name], let selector = service.selector else { return }
        let isUsed = compiler.labelsInUse[name.namespace]?.keys.contains { labels in
            selector.labels.allSatisfy { labels[$0.key] == $0.value }
        }
        compiler.tellOfSelector(of: service, isIdle: !(isUsed ?? false))
    }

    /// Says again which selectors reach nothing, where that may have changed.
    private mutating func compileSelectors() {
        let holders = compiler.objects.selectorNamespaces
        for namespace in stale.namespaces.union([compiler.rootNamespace]) where holders.contains(namespace) {
            compiler.tellOfSelectors(in: namespace)
        }
        for namespace in stale.namespaces {
            for name in selectingServices[namespace] ?? [] { tellOfSelector(name) }
        }
    }
}
