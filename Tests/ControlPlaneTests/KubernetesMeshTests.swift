import MeshModel
import Testing

@testable import ControlPlane

/// What pods, services and entries amount to.
@Suite struct KubernetesMeshTests {
    private func object(_ api: String, _ kind: String, _ metadata: String, _ rest: String) -> String {
        "apiVersion: \(api)\nkind: \(kind)\nmetadata: {\(metadata)}\n\(rest)\n---\n"
    }

    private func name(_ service: String) -> ServiceName {
        ServiceName(namespace: "n", hostname: "\(service).n.svc.cluster.local")
    }

    @Test func servicesAsIstiodFillsThem() throws {
        func service(_ name: String, _ spec: String, _ annotations: String = "") -> String {
            object("v1", "Service", "name: \(name), namespace: n\(annotations)", "spec: {\(spec)}")
        }
        let mesh = compiled(
            service("headless", "clusterIP: None, ports: [{port: 80}], selector: {app: a}")
                + service(
                    "dual",
                    "clusterIPs: [10.1.0.1, 'fd00::1'], ipFamilies: [IPv4, IPv6], ports: [{port: 80, targetPort: web}]")
                + service("near", "clusterIP: 10.1.0.2, trafficDistribution: PreferSameNode, ports: [{port: 1}]")
                + service("local", "clusterIP: 10.1.0.3, internalTrafficPolicy: Local, publishNotReadyAddresses: true")
                + service(
                    "old", "clusterIP: 10.1.0.4",
                    ", annotations: {networking.istio.io/traffic-distribution: PreferClose}")
                + service("odd", "clusterIP: 10.1.0.5, trafficDistribution: Nearby")
                + service("away", "type: ExternalName, externalName: example.com")
                + service("udp", "clusterIP: 10.1.0.6, ports: [{port: 53, protocol: UDP}, {port: 54}]")
                + pod("p", "n", app: "a"))
        func fields(_ name: String) throws -> Service.Fields {
            try #require(mesh.services.first { $0.fields.name == name }).fields
        }
        #expect(try fields("headless").vips == [] && fields("headless").canonical)
        #expect(
            try fields("dual").vips.count == 2 && fields("dual").ipFamilies == .dual && fields("dual").ports == [80: 0])
        #expect(try fields("near").loadBalancer?.mode == .failover)
        #expect(try fields("near").loadBalancer?.routingPreferences == [.network, .region, .zone, .subzone, .node])
        #expect(
            try fields("local").loadBalancer?.mode == .strict && fields("local").loadBalancer?.healthPolicy == .allowAll
        )
        #expect(try fields("old").loadBalancer?.routingPreferences == [.network, .region, .zone])
        #expect(try fields("udp").ports == [54: 54])
        #expect(mesh.services.count == 7)
        #expect(mesh.told(.ignored).contains { $0.contains("Service n/odd") && $0.contains("'Nearby'") })
        #expect(mesh.workload("p")?.fields.services[name("headless")] == [80: 80])
    }

    /// Who is enrolled: the CNI's annotation, else the pod's label, else the namespace's.
    @Test(arguments: [
        ("", true), ("labels: {istio.io/dataplane-mode: none}", false),
        ("annotations: {ambient.istio.io/redirection: enabled}", true),
        ("annotations: {ambient.istio.io/redirection: pending}", false),
        ("annotations: {sidecar.istio.io/status: x}", false),
    ]) func enrolment(_ metadata: String, _ isEnrolled: Bool) {
        let more = metadata.isEmpty ? "" : ", \(metadata)"
        let mesh = compiled(
            object("v1", "Namespace", "name: n, labels: {istio.io/dataplane-mode: ambient}", "")
                + object("v1", "Pod", "name: p, namespace: n\(more)", "spec: {nodeName: a}\nstatus: {podIP: 10.0.0.1}"))
        #expect((mesh.workload("p")?.fields.tunnelProtocol == .hbone) == isEnrolled)
    }

    @Test(arguments: [("'true'", true), ("'false'", false), ("'yes'", false)])
    func failOpenByAnnotation(_ value: String, _ isOpen: Bool) {
        let mesh = compiled(
            object(
                "v1", "Pod", "name: p, namespace: n, annotations: {ztun.io/fail-open: \(value)}",
                "spec: {nodeName: a}\nstatus: {podIP: 10.0.0.1}"))
        #expect(mesh.workload("p")?.fields.failsOpen == isOpen)
    }

    @Test func podsThatAreNotPartOfIt() {
        func pod(_ name: String, _ spec: String, _ status: String) -> String {
            object("v1", "Pod", "name: \(name), namespace: n", "spec: {\(spec)}\nstatus: {\(status)}")
        }
        let mesh = compiled(
            pod("over", "nodeName: a", "podIP: 10.0.0.1, phase: Succeeded")
                + pod("new", "nodeName: a", "phase: Pending")
                + pod("host", "hostNetwork: true", "podIP: 10.0.0.3, conditions: [{type: Ready, status: 'False'}]")
                + pod("bad", "serviceAccountName: 'a/b'", "podIP: 10.0.0.4"))
        #expect(mesh.workloads.map(\.fields.name) == ["host"])
        #expect(
            mesh.workloads.first?.fields.networkMode == .hostNetwork
                && mesh.workloads.first?.fields.health == .unhealthy)
        #expect(mesh.told(.ignored).count == 1 && mesh.told(.invalid).count == 1)
    }

    @Test func waypointsOfServicesAndPods() throws {
        let gateway = { (name: String, rest: String, labels: String) in
            object(
                "gateway.networking.k8s.io/v1", "Gateway", "name: \(name), namespace: n, labels: {\(labels)}",
                "spec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}\n\(rest)"
            )
        }
        let address = "status: {addresses: [{type: IPAddress, value: 10.0.0.9}]}"
        let service = { (name: String, label: String) in
            object(
                "v1", "Service", "name: \(name), namespace: n, labels: {\(label)}", "spec: {clusterIP: 10.1.0.1}")
        }
        let mesh = compiled(
            object("v1", "Namespace", "name: n, labels: {istio.io/use-waypoint: all}", "")
                + gateway("all", address, "istio.io/waypoint-for: all") + gateway("services", address, "")
                + gateway("nowhere", "", "") + service("inherits", "")
                + service("opts-out", "istio.io/use-waypoint: none")
                + service("lost", "istio.io/use-waypoint: gone") + service("other", "istio.io/use-waypoint: services")
                + pod("p", "n", app: "a"))
        let waypoint = GatewayAddress(
            destination: .address(NetworkAddress(network: "", ip: try #require(IPAddress("10.0.0.9")))))
        let found = Dictionary(uniqueKeysWithValues: mesh.services.map { ($0.fields.name, $0.fields.waypoint) })
        #expect(found["inherits"] == waypoint && found["other"] == waypoint)
        #expect(found["opts-out"] == .some(nil) && found["lost"] == .some(nil))
        #expect(mesh.workload("p")?.fields.waypoint == waypoint)
        #expect(mesh.told(.dangling).count == 2, "\(mesh.told(.dangling))")
    }

    @Test func entriesOfTheWorldOutside() throws {
        let mesh = compiled(
            object(
                "networking.istio.io/v1", "ServiceEntry", "name: db, namespace: n",
                "spec: {hosts: [db.example.com], addresses: [240.0.0.1], resolution: STATIC, ports: [{number: 5432, name: tcp}],"
                    + " endpoints: [{address: 192.0.2.1, ports: {tcp: 6432}}]}")
                + object(
                    "networking.istio.io/v1", "ServiceEntry", "name: dns, namespace: n",
                    "spec: {hosts: [a.example.com], resolution: DNS, ports: [{number: 443, name: tls}], exportTo: ['.']}"
                )
                + object(
                    "networking.istio.io/v1", "ServiceEntry", "name: vms, namespace: n",
                    "spec: {hosts: [vm.example.com], resolution: STATIC, ports: [{number: 80, name: http}],"
                        + " workloadSelector: {labels: {app: vm}}}")
                + object(
                    "networking.istio.io/v1", "WorkloadEntry", "name: vm1, namespace: n, labels: {app: vm}",
                    "spec: {address: 192.0.2.9, serviceAccount: vm, locality: r/z, weight: 3}")
                + object(
                    "networking.istio.io/v1", "ServiceEntry", "name: range, namespace: n",
                    "spec: {hosts: [range.example.com], addresses: [198.51.100.0/24], ports: [{number: 1, name: x}]}"))
        let db = try #require(
            mesh.workloads.first { $0.fields.uid == "Kubernetes/networking.istio.io/ServiceEntry/n/db/192.0.2.1" })
        #expect(db.fields.services == [ServiceName(namespace: "n", hostname: "db.example.com"): [5432: 6432]])
        let dns = try #require(mesh.workload("dns"))
        #expect(dns.fields.hostname == "a.example.com" && dns.fields.addresses.isEmpty)
        #expect(mesh.services.first { $0.fields.name == "dns" }?.fields.visibility == .namespace)
        let vm = try #require(mesh.workload("vm1"))
        #expect(vm.fields.services.count == 1 && vm.fields.capacity == 3 && vm.fields.locality.zone == "z")
        let range = try #require(mesh.services.first { $0.fields.name == "range" })
        #expect(range.fields.cidrVips.count == 1 && range.fields.loadBalancer?.mode == .passthrough)
    }

    @Test func meshConfigNamesRootAndTrustDomain() {
        let mesh = compiled(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\n"
                + "data:\n  mesh: |-\n    rootNamespace: root\n    trustDomain: example.org\n    defaultConfig: {}\n---\n"
                + object("security.istio.io/v1", "AuthorizationPolicy", "name: p, namespace: root", "spec: {}")
                + pod("w", "n", app: "a"))
        #expect(mesh.policies.first?.scope == .global)
        #expect(mesh.workload("w")?.identity.trustDomain == "example.org")
    }

    /// A broken document hides no other, whatever it breaks.
    @Test func documentsAreReadOneByOne() {
        let text =
            "%YAML 1.2\n---\n# nothing\n---\n" + pod("a", "n", app: "a") + "a: [\n---\n"
            + pod("b", "n", app: "a", ip: "10.0.0.2")
            + "kind: List\napiVersion: v1\nitems:\n- {apiVersion: v1, kind: Namespace, metadata: {name: n}}\n- 3\n"
        let mesh = compiled(text)
        #expect(mesh.workloads.map(\.fields.name) == ["a", "b"])
        #expect(mesh.told(.invalid).count == 2, "\(mesh.told(.invalid))")
    }

    /// A second waypoint by weight, in Istio's words and in one annotation; what cannot be used leaves the first alone.
    @Test(
        arguments: [
            ("annotations: {ztun.io/use-waypoint-canary: wp2=20}", "", [80, 20], nil),
            ("annotations: {ztun.io/use-waypoint-canary: n/wp2=100}", "", [0, 100], nil),
            (
                "labels: {istio.io/use-waypoint-canary: wp2}, annotations: {istio.io/use-waypoint-canary-weight: '5'}",
                "",
                [95, 5], nil
            ),
            ("", "annotations: {ztun.io/use-waypoint-canary: wp2=7}", [93, 7], nil),
            (
                "annotations: {ztun.io/use-waypoint-canary: wp2=0}",
                "annotations: {ztun.io/use-waypoint-canary: wp2=7}", [100, 0], nil
            ),
            ("labels: {istio.io/use-waypoint: wp2}", "annotations: {ztun.io/use-waypoint-canary: wp2=7}", [], nil),
            ("annotations: {ztun.io/use-waypoint-canary: wp2}", "", [], "'wp2' is not NAME=PERCENT"),
            ("annotations: {ztun.io/use-waypoint-canary: wp2=101}", "", [], "is not NAME=PERCENT"),
            ("annotations: {ztun.io/use-waypoint-canary: wp2=-1}", "", [], "is not NAME=PERCENT"),
            ("annotations: {ztun.io/use-waypoint-canary: =5}", "", [], "is not NAME=PERCENT"),
            ("annotations: {ztun.io/use-waypoint-canary: a/b/c=5}", "", [], "is not NAME=PERCENT"),
            (
                "labels: {istio.io/use-waypoint-canary: wp2}", "", [],
                "istio.io/use-waypoint-canary-weight '' is not a number"
            ),
            (
                "annotations: {ztun.io/use-waypoint-canary: nowhere=5}", "", [],
                "its canary waypoint 'n/nowhere' cannot be used"
            ),
            ("annotations: {ztun.io/use-waypoint-canary: wp=5}", "", [], "its canary waypoint is its waypoint"),
        ] as [(String, String, [UInt32], String?)])
    func canaryWaypoints(_ service: String, _ namespace: String, _ weights: [UInt32], _ told: String?) throws {
        func gateway(_ name: String, _ address: String) -> String {
            object(
                "gateway.networking.k8s.io/v1", "Gateway", "name: \(name), namespace: n",
                "spec: {listeners: [{name: mesh, port: 15008, protocol: HBONE}]}\nstatus: {addresses: [{value: \(address)}]}"
            )
        }
        let joined = { (text: String) in text.isEmpty ? "" : ", \(text)" }
        let mesh = compiled(
            gateway("wp", "10.0.0.8") + gateway("wp2", "10.0.0.9")
                + object(
                    "v1", "Namespace",
                    "name: n, labels: {istio.io/use-waypoint: wp}\(joined(namespace))", "")
                + object(
                    "v1", "Service", "name: s, namespace: n\(joined(service))",
                    "spec: {clusterIP: 10.1.0.1, ports: [{port: 80}]}"))
        let fields = try #require(mesh.services.first { $0.fields.name == "s" }).fields
        #expect(fields.weightedWaypoints.map(\.weight) == weights)
        if let first = fields.weightedWaypoints.first { #expect(first.waypoint == fields.waypoint) }
        let texts = mesh.diagnostics.map(\.description)
        if let told {
            #expect(texts.contains { $0.contains(told) && $0.contains("Service n/s") }, "\(texts)")
        } else {
            #expect(texts.isEmpty, "\(texts)")
        }
    }
}
