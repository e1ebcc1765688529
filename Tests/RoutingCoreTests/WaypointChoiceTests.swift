import MeshModel
import RoutingCore
import Testing

/// Connections that a waypoint or a network gateway stands in front of.
@Suite struct WaypointChoiceTests {
    typealias Case = OutboundDecisionTests.Case

    static let waypointWorkload = OutboundDecisionTests.hbone("waypoint", ["127.0.0.10"])
    static let client = Fixture.workload("client", ["127.0.0.1"])

    static func server(_ waypoint: GatewayAddress) -> Workload {
        OutboundDecisionTests.hbone("server", ["127.0.0.2"]) { $0.waypoint = waypoint }
    }

    static let gatewayWorkload = Fixture.workload("gateway", ["10.22.1.1"]) {
        $0.network = "remote"
        $0.serviceAccount = "gw"
    }
    static let gateway = Fixture.waypoint(at: "10.22.1.1", port: 15009, network: "remote")
    static let web = Fixture.service("web", ["127.0.0.3"]) {
        $0.hostname = "example.com"
        $0.subjectAltNames = ["spiffe://cluster.local/ns/ns1/sa/remote"]
    }
    static let webName = ServiceName(namespace: "ns1", hostname: "example.com")

    static func remoteOfWeb(gateway: GatewayAddress?) -> Workload {
        OutboundDecisionTests.hbone("remote", ["10.0.1.1"]) {
            $0.network = "remote"
            $0.networkGateway = gateway
            $0.services = [webName: [:]]
        }
    }

    static func failoverWeb(_ vip: String = "127.0.0.3") -> Service {
        Fixture.service("web", [vip]) {
            $0.hostname = "example.com"
            $0.loadBalancer = Service.LoadBalancer()
            $0.loadBalancer?.mode = .failover
            $0.loadBalancer?.routingPreferences = [.network]
        }
    }

    static func localOfWeb(_ health: Workload.Health) -> Workload {
        OutboundDecisionTests.hbone("local", ["127.0.0.2"]) {
            $0.health = health
            $0.services = [webName: [:]]
        }
    }

    static let table: [Case] = [
        Case(
            "workload waypoint by address", to: "127.0.0.2:80", "HBONE 127.0.0.10:15008 auth 127.0.0.2:80",
            workloads: [server(Fixture.waypoint(at: "127.0.0.10")), waypointWorkload]),
        Case(
            "workload waypoint by service VIP", to: "127.0.0.2:80", "HBONE 127.0.0.10:15008 auth 127.0.0.2:80",
            workloads: [
                server(Fixture.waypoint(at: "127.0.0.99")),
                OutboundDecisionTests.endpoint("waypoint", ["127.0.0.10"], of: "wp"),
            ], services: [Fixture.service("wp", ["127.0.0.99"]) { $0.ports = [15008: 15008] }]),
        Case(
            "workload waypoint by service host name with another port", to: "127.0.0.2:80",
            "HBONE 127.0.0.10:15018 auth 127.0.0.2:80",
            workloads: [
                server(Fixture.waypoint(named: "wp")),
                OutboundDecisionTests.endpoint("waypoint", ["127.0.0.10"], of: "wp"),
            ], services: [Fixture.service("wp") { $0.ports = [15008: 15018] }]),
        Case(
            "workload waypoint whose service lacks the port, with an application tunnel", to: "127.0.0.2:80",
            "HBONE 127.0.0.10:15008 auth 127.0.0.2:80",
            workloads: [
                server(Fixture.waypoint(named: "wp")),
                OutboundDecisionTests.hbone("waypoint", ["127.0.0.10"]) {
                    $0.services = [Fixture.name("wp"): [:]]
                    $0.applicationTunnel = Workload.ApplicationTunnel(kind: .proxy, port: 15088)
                },
            ], services: [Fixture.service("wp") { $0.ports = [:] }]),
        Case(
            "the same without application tunnel", to: "127.0.0.2:80", "refused: no_healthy_upstream",
            workloads: [
                server(Fixture.waypoint(named: "wp")),
                OutboundDecisionTests.endpoint("waypoint", ["127.0.0.10"], of: "wp"),
            ], services: [Fixture.service("wp") { $0.ports = [:] }]),
        Case(
            "workload waypoint by workload host name", to: "127.0.0.2:80", "HBONE 127.0.0.10:15008 auth 127.0.0.2:80",
            workloads: [
                server(Fixture.waypoint(named: "wp")),
                OutboundDecisionTests.hbone("waypoint", ["127.0.0.10"]) { $0.hostname = "wp.ns1.svc" },
            ]),
        Case(
            "named waypoint that is not known", to: "127.0.0.2:80", "refused: waypoint_unknown",
            workloads: [server(Fixture.waypoint(named: "wp"))]),
        Case(
            "waypoint address that is not known", to: "127.0.0.2:80", "refused: waypoint_unknown",
            workloads: [server(Fixture.waypoint(at: "127.0.0.10"))]),
        Case(
            "the source is the destination's waypoint", to: "127.0.0.2:80", "TCP 127.0.0.2:80",
            workloads: [
                Fixture.workload("server", ["127.0.0.2"]) { $0.waypoint = Fixture.waypoint(at: "127.0.0.10") }
            ], source: waypointWorkload),
        Case(
            "the source is the service's waypoint", to: "127.0.0.3:80", "HBONE 127.0.0.2:15008 auth 127.0.0.2:8080",
            workloads: [OutboundDecisionTests.endpoint("server", ["127.0.0.2"], of: "web")],
            services: [
                Fixture.service("web", ["127.0.0.3"]) { $0.waypoint = Fixture.waypoint(at: "127.0.0.10") }
            ], source: waypointWorkload),
        Case(
            "the source is the waypoint under another uid", to: "127.0.0.2:80", "TCP 127.0.0.2:80",
            workloads: [
                Fixture.workload("server", ["127.0.0.2"]) { $0.waypoint = Fixture.waypoint(at: "127.0.0.10") },
                waypointWorkload,
            ],
            source: Fixture.workload("entry", ["127.0.0.10"]) {
                $0.uid = "cluster1/networking.istio.io/WorkloadEntry/ns1/entry"
                $0.serviceAccount = "waypoint"
            }),
        Case(
            "the source shares the waypoint's address, not its identity", to: "127.0.0.2:80",
            "HBONE 127.0.0.10:15008 auth 127.0.0.2:80",
            workloads: [
                Fixture.workload("server", ["127.0.0.2"]) { $0.waypoint = Fixture.waypoint(at: "127.0.0.10") },
                waypointWorkload,
            ],
            source: Fixture.workload("entry", ["127.0.0.10"]) {
                $0.uid = "cluster1/networking.istio.io/WorkloadEntry/ns1/entry"
            }),
        Case(
            "IPv4 waypoint, dialled by IPv6", to: "[ff06::c3]:80", "HBONE 127.0.0.10:15008 auth [ff06::c3]:80",
            workloads: [
                OutboundDecisionTests.hbone("server", ["ff06::c3"]) {
                    $0.waypoint = Fixture.waypoint(at: "127.0.0.10")
                },
                waypointWorkload,
            ]),
        Case(
            "service waypoint", to: "127.0.0.3:80", "HBONE 127.0.0.10:15008 auth 127.0.0.3:80",
            workloads: [waypointWorkload, OutboundDecisionTests.endpoint("server", ["127.0.0.2"], of: "web")],
            services: [Fixture.service("web", ["127.0.0.3"]) { $0.waypoint = Fixture.waypoint(at: "127.0.0.10") }]),
        Case(
            "service waypoint that is not known", to: "127.0.0.3:80", "refused: waypoint_unknown",
            workloads: [OutboundDecisionTests.endpoint("server", ["127.0.0.2"], of: "web")],
            services: [Fixture.service("web", ["127.0.0.3"]) { $0.waypoint = Fixture.waypoint(at: "127.0.0.10") }]),
        Case(
            "by service, only the endpoint has a waypoint", to: "127.0.0.3:80",
            "HBONE 127.0.0.2:15008 auth 127.0.0.2:8080",
            workloads: [
                waypointWorkload,
                OutboundDecisionTests.hbone("server", ["127.0.0.2"]) {
                    $0.services = [Fixture.name("web"): [:]]
                    $0.waypoint = Fixture.waypoint(at: "127.0.0.10")
                },
            ], services: [Fixture.service("web", ["127.0.0.3"])]),
        Case(
            "by address, only the service has a waypoint", to: "127.0.0.2:8080",
            "HBONE 127.0.0.2:15008 auth 127.0.0.2:8080",
            workloads: [waypointWorkload, OutboundDecisionTests.endpoint("server", ["127.0.0.2"], of: "web")],
            services: [Fixture.service("web", ["127.0.0.3"]) { $0.waypoint = Fixture.waypoint(at: "127.0.0.10") }]),
        Case(
            "endpoint on another network without gateway", to: "127.0.0.3:80", "refused: gateway_unknown",
            workloads: [remoteOfWeb(gateway: nil)], services: [web]),
        Case(
            "endpoint on another network, gateway not known", to: "127.0.0.3:80", "refused: gateway_unknown",
            workloads: [remoteOfWeb(gateway: gateway)], services: [web]),
        Case(
            "endpoint on another network, gateway by address", to: "127.0.0.3:80",
            "DOUBLE 10.22.1.1:15009 auth example.com:80",
            workloads: [remoteOfWeb(gateway: gateway), gatewayWorkload], services: [web]),
        Case(
            "endpoint on another network, gateway by host name", to: "127.0.0.3:80",
            "DOUBLE 127.0.0.5:15008 auth example.com:80",
            workloads: [
                remoteOfWeb(gateway: Fixture.waypoint(named: "ew-gtw", port: 15009)),
                Fixture.workload("gateway", ["127.0.0.5"]) { $0.services = [Fixture.name("ew-gtw"): [:]] },
            ], services: [web, Fixture.service("ew-gtw") { $0.ports = [15009: 15008] }]),
        Case(
            "service waypoint on another network", to: "127.0.0.3:80", "DOUBLE 10.22.1.1:15009 auth example.com:80",
            workloads: [
                gatewayWorkload,
                OutboundDecisionTests.hbone("waypoint", ["10.0.1.9"]) {
                    $0.network = "remote"
                    $0.networkGateway = gateway
                    $0.services = [Fixture.name("wp"): [:]]
                },
            ],
            services: [
                Fixture.service("web", ["127.0.0.3"]) {
                    $0.hostname = "example.com"
                    $0.waypoint = Fixture.waypoint(named: "wp")
                }, Fixture.service("wp") { $0.ports = [15008: 15008] },
            ]),
        Case(
            "failover by network, local endpoint healthy", to: "127.0.0.3:80",
            "HBONE 127.0.0.2:15008 auth 127.0.0.2:8080",
            workloads: [localOfWeb(.healthy), remoteOfWeb(gateway: gateway), gatewayWorkload],
            services: [failoverWeb()]),
        Case(
            "failover by network, local endpoint unhealthy", to: "127.0.0.3:80",
            "DOUBLE 10.22.1.1:15009 auth example.com:80",
            workloads: [localOfWeb(.unhealthy), remoteOfWeb(gateway: gateway), gatewayWorkload],
            services: [failoverWeb()]),
    ]

    @Test(arguments: table) func decides(_ item: Case) {
        #expect(OutboundDecisionTests.decide(item).summary == item.expected)
    }

    @Test func waypointAndServiceIdentitiesAreExpectedOfAWaypoint() throws {
        let service = Fixture.service("wp") {
            $0.ports = [15008: 15008]
            $0.subjectAltNames = ["spiffe://cluster.local/ns/ns1/sa/old"]
        }
        let item = Case(
            "", to: "127.0.0.2:80", "",
            workloads: [
                Self.server(Fixture.waypoint(named: "wp")),
                OutboundDecisionTests.endpoint("waypoint", ["127.0.0.10"], of: "wp"),
            ], services: [service])
        let route = try #require(OutboundDecisionTests.decide(item).route)
        #expect(route.via == .waypoint)
        #expect(route.peer?.fields.name == "waypoint" && route.destination?.fields.name == "server")
        #expect(
            route.expected.texts == [
                "spiffe://cluster.local/ns/ns1/sa/old", "spiffe://cluster.local/ns/ns1/sa/waypoint",
            ])
    }

    @Test func gatewayIsExpectedOutsideAndTheServiceInside() throws {
        let item = Case(
            "", to: "127.0.0.3:80", "", workloads: [Self.remoteOfWeb(gateway: Self.gateway), Self.gatewayWorkload],
            services: [Self.web])
        let route = try #require(OutboundDecisionTests.decide(item).route)
        #expect(route.expected.texts == ["spiffe://cluster.local/ns/ns1/sa/gw"])
        #expect(route.innerExpected?.texts == ["spiffe://cluster.local/ns/ns1/sa/remote"])
    }

    // MARK: Weighted waypoints

    static func counts(_ weights: [UInt32], fallback: Bool = false, draws: UInt64) -> [String: Int] {
        let service = Fixture.service("web", ["127.0.0.3"]) { fields in
            fields.weightedWaypoints = weights.enumerated().map {
                Service.WeightedWaypoint(
                    waypoint: Fixture.waypoint(at: "127.0.0.1\($0.offset)"), weight: $0.element)
            }
            if fallback { fields.waypoint = Fixture.waypoint(at: "127.0.0.19") }
        }
        let waypoints = [0, 1, 9].map { OutboundDecisionTests.hbone("waypoint\($0)", ["127.0.0.1\($0)"]) }
        let server = OutboundDecisionTests.endpoint("server", ["127.0.0.2"], of: "web")
        let snapshot = MeshSnapshot(workloads: waypoints + [server, client], services: [service])
        var counts: [String: Int] = [:]
        for random in 0..<draws {
            let request = OutboundDecision.Request(
                source: client, destination: Fixture.socket("127.0.0.3:80"), random: random)
            let peer = OutboundDecision.decide(request, in: snapshot).route?.peer
            counts[peer?.fields.name ?? "none", default: 0] += 1
        }
        return counts
    }

    @Test func aWeightOfZeroTakesNothing() {
        #expect(Self.counts([100, 0], draws: 300) == ["waypoint0": 300])
        #expect(Self.counts([0, 100], draws: 300) == ["waypoint1": 300])
    }

    @Test func allWeightsZeroFallBack() {
        #expect(Self.counts([0, 0], fallback: true, draws: 100) == ["waypoint9": 100])
        #expect(Self.counts([0, 0], draws: 100) == ["server": 100])
        #expect(Self.counts([1], fallback: true, draws: 100) == ["waypoint0": 100])
    }

    @Test func weightsAreProportions() throws {
        let counts = Self.counts([75, 25], draws: 10_000)
        let first = try #require(counts["waypoint0"])
        #expect((7_300...7_700).contains(first))
        #expect(first + (counts["waypoint1"] ?? 0) == 10_000)
    }
}
