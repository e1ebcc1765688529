import MeshModel
import RoutingCore
import Testing

/// Where a pod's connection goes, case by case.
@Suite struct OutboundDecisionTests {
    struct Case: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var workloads: [Workload] = []
        var services: [Service] = []
        var source = Fixture.workload("client", ["127.0.0.1"]) { $0.tunnelProtocol = .hbone }
        var to: String
        var expected: String

        init(
            _ description: String, to: String, _ expected: String, workloads: [Workload] = [], services: [Service] = [],
            source: Workload? = nil
        ) {
            testDescription = description
            self.to = to
            self.expected = expected
            self.workloads = workloads
            self.services = services
            if let source { self.source = source }
        }
    }

    static func decide(_ item: Case, random: UInt64 = 7) -> OutboundDecision {
        let snapshot = MeshSnapshot(workloads: item.workloads + [item.source], services: item.services)
        return .decide(
            OutboundDecision.Request(source: item.source, destination: Fixture.socket(item.to), random: random),
            in: snapshot)
    }

    static func hbone(
        _ name: String, _ addresses: [String], _ change: (inout Workload.Fields) -> Void = { _ in }
    ) -> Workload {
        Fixture.workload(name, addresses) {
            $0.tunnelProtocol = .hbone
            change(&$0)
        }
    }

    static func endpoint(_ name: String, _ addresses: [String], of service: String) -> Workload {
        hbone(name, addresses) { $0.services = [Fixture.name(service): [:]] }
    }

    static let simple: [Case] = [
        Case("unknown address", to: "1.2.3.4:80", "TCP 1.2.3.4:80"),
        Case(
            "plain workload", to: "127.0.0.2:80", "TCP 127.0.0.2:80",
            workloads: [Fixture.workload("tcp", ["127.0.0.2"])]),
        Case(
            "plain workload on another node", to: "127.0.0.2:80", "TCP 127.0.0.2:80",
            workloads: [Fixture.workload("tcp", ["127.0.0.2"]) { $0.node = "remote-node" }]),
        Case(
            "HBONE workload", to: "127.0.0.2:80", "HBONE 127.0.0.2:15008 auth 127.0.0.2:80",
            workloads: [hbone("server", ["127.0.0.2"])]),
        Case(
            "HBONE workload on another node", to: "127.0.0.2:80", "HBONE 127.0.0.2:15008 auth 127.0.0.2:80",
            workloads: [hbone("server", ["127.0.0.2"]) { $0.node = "remote-node" }]),
        Case(
            "service", to: "127.0.0.3:80", "HBONE 127.0.0.2:15008 auth 127.0.0.2:8080",
            workloads: [endpoint("server", ["127.0.0.2"], of: "web")], services: [Fixture.service("web", ["127.0.0.3"])]
        ),
        Case(
            "service on a port it does not declare", to: "127.0.0.3:81", "refused: service_port_unknown",
            workloads: [endpoint("server", ["127.0.0.2"], of: "web")], services: [Fixture.service("web", ["127.0.0.3"])]
        ),
        Case(
            "service without endpoints", to: "127.0.0.3:80", "refused: no_healthy_upstream",
            services: [Fixture.service("web", ["127.0.0.3"])]),
        Case(
            "service whose only endpoint is unhealthy", to: "127.0.0.3:80", "refused: no_healthy_upstream",
            workloads: [
                hbone("server", ["127.0.0.2"]) {
                    $0.services = [Fixture.name("web"): [:]]
                    $0.health = .unhealthy
                }
            ], services: [Fixture.service("web", ["127.0.0.3"])]),
        Case(
            "service that allows unhealthy endpoints", to: "127.0.0.3:80", "HBONE 127.0.0.2:15008 auth 127.0.0.2:8080",
            workloads: [
                hbone("server", ["127.0.0.2"]) {
                    $0.services = [Fixture.name("web"): [:]]
                    $0.health = .unhealthy
                }
            ],
            services: [
                Fixture.service("web", ["127.0.0.3"]) {
                    $0.loadBalancer = Service.LoadBalancer()
                    $0.loadBalancer?.healthPolicy = .allowAll
                }
            ]),
        Case(
            "host-network workload by its service", to: "127.0.0.3:80", "TCP 127.0.0.2:8080",
            workloads: [
                Fixture.workload("host", ["127.0.0.2"]) {
                    $0.services = [Fixture.name("web"): [:]]
                    $0.networkMode = .hostNetwork
                }
            ], services: [Fixture.service("web", ["127.0.0.3"])]),
        Case(
            "host-network workload by its address", to: "127.0.0.2:8080", "TCP 127.0.0.2:8080",
            workloads: [Fixture.workload("host", ["127.0.0.2"]) { $0.networkMode = .hostNetwork }]),
        Case(
            "dual-stack workload by its IPv4", to: "127.0.0.2:80", "HBONE 127.0.0.2:15008 auth 127.0.0.2:80",
            workloads: [hbone("dual", ["ff06::c3", "127.0.0.2"])]),
        Case(
            "dual-stack workload by its IPv6", to: "[ff06::c3]:80", "HBONE [ff06::c3]:15008 auth [ff06::c3]:80",
            workloads: [hbone("dual", ["127.0.0.2", "ff06::c3"])]),
        Case(
            "PASSTHROUGH service", to: "1.2.3.4:80", "TCP 1.2.3.4:80",
            services: [
                Fixture.service("wild", ["1.2.3.4"]) {
                    $0.loadBalancer = Service.LoadBalancer()
                    $0.loadBalancer?.mode = .passthrough
                }
            ]),
        Case(
            "PASSTHROUGH service with a waypoint", to: "1.2.3.4:80", "HBONE 127.0.0.10:15008 auth 1.2.3.4:80",
            workloads: [hbone("waypoint", ["127.0.0.10"])],
            services: [
                Fixture.service("wild", ["1.2.3.4"]) {
                    $0.loadBalancer = Service.LoadBalancer()
                    $0.loadBalancer?.mode = .passthrough
                    $0.waypoint = Fixture.waypoint(at: "127.0.0.10")
                }
            ]),
        Case(
            "host name endpoint, plain", to: "127.0.0.3:80", "TCP db.example.com:8080",
            workloads: [
                Fixture.workload("external") {
                    $0.hostname = "db.example.com"
                    $0.services = [Fixture.name("web"): [:]]
                }
            ], services: [Fixture.service("web", ["127.0.0.3"])]),
        Case(
            "an address in a service's range", to: "10.7.1.9:80", "HBONE 127.0.0.2:15008 auth 127.0.0.2:8080",
            workloads: [endpoint("server", ["127.0.0.2"], of: "web")],
            services: [
                Fixture.service("web") {
                    $0.cidrVips = ["10.7.0.0/16"].compactMap { IPPrefix($0) }.map {
                        Service.CIDRAddress(network: "", prefix: $0)
                    }
                }
            ]),
    ]

    static let ownPorts: [Case] = [15001, 15006, 15008].flatMap { port in
        [
            Case("loopback", to: "127.0.0.1:\(port)", "refused: recursive_call"),
            Case("other loopback", to: "127.8.9.1:\(port)", "refused: recursive_call"),
            Case("IPv6 loopback", to: "[::1]:\(port)", "refused: recursive_call"),
            Case("unspecified", to: "0.0.0.0:\(port)", "refused: recursive_call"),
            Case("mapped loopback", to: "[::ffff:127.0.0.1]:\(port)", "refused: recursive_call"),
            Case(
                "own address", to: "10.0.0.9:\(port)", "refused: recursive_call",
                source: Fixture.workload("client", ["10.0.0.9"])),
            Case("somebody else's", to: "1.2.3.4:\(port)", "TCP 1.2.3.4:\(port)"),
        ]
    }

    @Test(arguments: simple + ownPorts) func decides(_ item: Case) {
        #expect(Self.decide(item).summary == item.expected)
    }

    @Test func passthroughKnowsNobody() throws {
        let route = try #require(Self.decide(Case("", to: "1.2.3.4:80", "")).route)
        #expect(route.via == .passthrough)
        #expect(route.peer == nil && route.destination == nil && route.service == nil)
        #expect(!route.mayTryAnother)
    }

    @Test func serviceRouteKnowsPeerServiceAndIdentities() throws {
        var item = try #require(Self.simple.first { $0.testDescription == "service" })
        item.services = [
            Fixture.service("web", ["127.0.0.3"]) { $0.subjectAltNames = ["spiffe://cluster.local/ns/x/sa/y"] }
        ]
        let route = try #require(Self.decide(item).route)
        #expect(route.service?.serviceName == Fixture.name("web"))
        #expect(route.peer?.fields.name == "server" && route.destination?.fields.name == "server")
        #expect(route.targetPort == 8080 && route.mayTryAnother)
        #expect(
            route.expected.texts == [
                "spiffe://cluster.local/ns/x/sa/y", "spiffe://cluster.local/ns/ns1/sa/server",
            ])
        let extra = SpiffeID(trustDomain: "cluster.local", namespace: "x", serviceAccount: "y")
        let other = SpiffeID(trustDomain: "cluster.local", namespace: "x", serviceAccount: "z")
        #expect(route.expected.contains(extra) && !route.expected.contains(other))
    }

    @Test func hostnameEndpointGetsItsAddressAfterLookup() throws {
        let service = Fixture.service("web", ["127.0.0.3"])
        let external = Self.hbone("external", []) {
            $0.hostname = "db.example.com"
            $0.services = [Fixture.name("web"): [:]]
        }
        let item = Case("", to: "127.0.0.3:80", "", workloads: [external], services: [service])
        let route = try #require(Self.decide(item).route)
        #expect(route.nextHop == .hostname("db.example.com", port: 15008, prefersIPv4: true))
        #expect(route.authority == nil)
        let resolved = route.resolved(to: Fixture.ip("9.9.9.9"))
        #expect(resolved.nextHopAddress == Fixture.socket("9.9.9.9:15008"))
        #expect(resolved.authority == .address(Fixture.socket("9.9.9.9:8080")))
    }

    @Test(arguments: 0..<40) func onlyTheEndpointThatMapsThePortIsChosen(_ random: Int) {
        let service = Fixture.service("web", ["127.0.0.3"]) { $0.ports = [80: 0] }
        let mapping = Fixture.workload("a", ["127.0.0.2"]) { $0.services = [Fixture.name("web"): [80: 1234]] }
        let other = Fixture.workload("b", ["127.0.0.5"]) { $0.services = [Fixture.name("web"): [90: 1234]] }
        let item = Case("", to: "127.0.0.3:80", "", workloads: [mapping, other], services: [service])
        #expect(Self.decide(item, random: UInt64(random)).summary == "TCP 127.0.0.2:1234")
    }

    struct Families: Sendable, CustomTestStringConvertible {
        var families: Service.IPFamilies?
        var vip: String
        var expected: String
        var testDescription: String { "\(families.map(\.rawValue) ?? "automatic") dialled by \(vip)" }
    }

    @Test(arguments: [
        Families(families: .ipv6, vip: "127.0.0.3", expected: "TCP [2001:db8::2]:8080"),
        Families(families: .ipv6, vip: "2001:db8::3", expected: "TCP [2001:db8::2]:8080"),
        Families(families: .ipv4, vip: "127.0.0.3", expected: "TCP 127.0.0.2:8080"),
        Families(families: .ipv4, vip: "2001:db8::3", expected: "TCP 127.0.0.2:8080"),
        Families(families: .dual, vip: "127.0.0.3", expected: "TCP 127.0.0.2:8080"),
        Families(families: .dual, vip: "2001:db8::3", expected: "TCP [2001:db8::2]:8080"),
        Families(families: nil, vip: "127.0.0.3", expected: "TCP 127.0.0.2:8080"),
        Families(families: nil, vip: "2001:db8::3", expected: "TCP [2001:db8::2]:8080"),
    ]) func addressFamily(_ item: Families) {
        let service = Fixture.service("web", ["127.0.0.3", "2001:db8::3"]) { $0.ipFamilies = item.families }
        let server = Fixture.workload("server", ["127.0.0.2", "2001:db8::2"]) {
            $0.services = [Fixture.name("web"): [:]]
        }
        let to = SocketAddress(Fixture.ip(item.vip), 80).description
        let decision = Self.decide(Case("", to: to, "", workloads: [server], services: [service]))
        #expect(decision.summary == item.expected)
    }

    @Test func failedEndpointsAreNotChosenAgain() throws {
        let service = Fixture.service("web", ["127.0.0.3"])
        let workloads = ["a", "b", "c"].enumerated().map { index, name in
            Self.endpoint(name, ["127.0.1.\(index + 1)"], of: "web")
        }
        let source = Fixture.workload("client", ["127.0.0.1"])
        let snapshot = MeshSnapshot(workloads: workloads + [source], services: [service])
        var request = OutboundDecision.Request(
            source: source, destination: Fixture.socket("127.0.0.3:80"), random: 1)
        var seen = Set<String>()
        for _ in 0..<3 {
            let peer = try #require(OutboundDecision.decide(request, in: snapshot).route?.peer)
            #expect(seen.insert(peer.fields.uid).inserted)
            request.excluding.append(peer.fields.uid)
        }
        let refusal = try #require(OutboundDecision.decide(request, in: snapshot).refusal)
        #expect(refusal.reason == .noHealthyUpstream)
        #expect(refusal.detail.contains("3 failed"))
    }

    @Test func explainingDecidesTheSame() {
        for item in Self.simple {
            let snapshot = MeshSnapshot(workloads: item.workloads + [item.source], services: item.services)
            let request = OutboundDecision.Request(
                source: item.source, destination: Fixture.socket(item.to), random: 7)
            let explained = OutboundDecision.explain(request, in: snapshot)
            #expect(explained.decision.summary == item.expected)
            #expect(!explained.trace.steps.isEmpty)
        }
    }
}
