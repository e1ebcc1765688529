import MeshModel
import RoutingCore
import Testing

/// `outboundTrafficPolicy: REGISTRY_ONLY`: what the mesh does not know is refused, everything else goes where it went.
@Suite struct RegistryOnlyTests {
    private static let source = Fixture.workload("client", ["10.0.0.1"]) { $0.tunnelProtocol = .hbone }
    private static let workloads = [
        source, Fixture.workload("plain", ["10.0.0.2"]),
        Fixture.workload("host", ["172.16.0.1"]) { $0.networkMode = .hostNetwork },
        Fixture.workload("endpoint", ["10.0.0.3"]) { $0.services = [Fixture.name("web"): [:]] },
    ]
    private static let services = [
        Fixture.service("web", ["10.1.0.1"]),
        Fixture.service("wild", ["1.2.3.4"]) {
            $0.loadBalancer = Service.LoadBalancer()
            $0.loadBalancer?.mode = .passthrough
        },
        Fixture.service("hidden", ["10.1.0.2"]) {
            $0.namespace = "other"
            $0.visibility = .namespace
        },
    ]

    private func decide(_ to: String, _ policy: OutboundTrafficPolicy) -> String {
        var settings = MeshSettings()
        settings.outboundTrafficPolicy = policy
        let snapshot = MeshSnapshot(workloads: Self.workloads, services: Self.services, settings: settings)
        return OutboundDecision.decide(
            .init(source: Self.source, destination: Fixture.socket(to), random: 1), in: snapshot
        ).summary
    }

    @Test(arguments: [
        ("a workload", "10.0.0.2:80"), ("a host-network workload", "172.16.0.1:80"), ("a service", "10.1.0.1:80"),
        ("a PASSTHROUGH service", "1.2.3.4:80"), ("itself", "10.0.0.1:80"),
        ("a name server on a link-local address", "169.254.20.10:53"), ("the same, IPv6", "[fe80::53]:53"),
    ]) func knownDestinationsAreReachedAsBefore(_ item: (String, String)) {
        let before = decide(item.1, .allowAny)
        #expect(!before.hasPrefix("refused"), "\(item.0)")
        #expect(decide(item.1, .registryOnly) == before, "\(item.0)")
    }

    @Test(arguments: [
        ("an address of nobody", "1.2.3.5:80"), ("a name server elsewhere", "8.8.8.8:53"),
        ("the metadata server", "169.254.169.254:80"), ("a node without pods", "172.16.0.2:10250"),
        ("a service that its namespace keeps to itself", "10.1.0.2:80"), ("IPv6", "[2001:db8::1]:443"),
        ("next to the link-local range", "169.255.0.1:53"), ("next to the other one", "[fec0::1]:53"),
    ]) func unknownDestinationsAreRefused(_ item: (String, String)) {
        #expect(decide(item.1, .allowAny) == "TCP \(item.1)", "\(item.0)")
        #expect(decide(item.1, .registryOnly) == "refused: destination_unknown", "\(item.0)")
    }

    @Test func theRefusalNamesAddressNamespaceAndSetting() {
        var settings = MeshSettings()
        settings.outboundTrafficPolicy = .registryOnly
        let snapshot = MeshSnapshot(workloads: Self.workloads, settings: settings)
        let (decision, trace) = OutboundDecision.explain(
            .init(source: Self.source, destination: Fixture.socket("1.2.3.5:80"), random: 1), in: snapshot)
        #expect(
            decision.refusal?.detail
                == "1.2.3.5:80 belongs to no workload, service or ServiceEntry that namespace ns1 sees, and outboundTrafficPolicy "
                + "is REGISTRY_ONLY")
        #expect(trace.steps.last?.hasPrefix("refused: destination_unknown") == true)
    }

    /// The settings are part of what may change from one snapshot to the next.
    @Test func aChangeOfTheSettingIsAChange() {
        let first = MeshSnapshot(workloads: Self.workloads)
        var settings = MeshSettings()
        settings.outboundTrafficPolicy = .registryOnly
        let second = first.replacingAll(
            workloads: Self.workloads, services: [], policies: [], settings: settings)
        #expect(second.settings == settings && second.generation == 2)
        // A change of something else leaves them.
        var changes = MeshChanges()
        changes.removedWorkloads = [Self.source.fields.uid]
        #expect(second.applying(changes).settings == settings)
    }

    @Test func namespacesSayForThemselvesWhatBecomesOfOpenConnections() {
        var settings = MeshSettings()
        #expect(settings.policyEdits(ofNamespace: "a") == .cut)
        settings.policyEditsByNamespace = ["a": .keep]
        #expect(settings.policyEdits(ofNamespace: "a") == .keep && settings.policyEdits(ofNamespace: "b") == .cut)
        settings.policyEdits = .keep
        settings.policyEditsByNamespace = ["b": .cut]
        #expect(settings.policyEdits(ofNamespace: "a") == .keep && settings.policyEdits(ofNamespace: "b") == .cut)
    }
}
