import MeshModel
import RoutingCore
import Testing

/// Where a tunnel that came to a pod may lead: client 10.0.0.1, server .2, waypoint .3; VIPs server 10.10.0.1, waypoint
/// 10.10.0.2; ports 80 to 8080.
@Suite struct InboundDecisionTests {
    struct Case: CustomTestStringConvertible, Sendable {
        enum Attachment: String {
            case none, workloadByAddress, workloadByVIP, serviceByAddress, serviceByVIP, weighted
        }
        enum Tunnel: String { case none, proxy, port }
        enum Arrival: String { case server = "10.0.0.2", waypoint = "10.0.0.3" }
        var arrival: Arrival
        var authority: String
        var expected: String
        var attachment = Attachment.none
        var tunnel = Tunnel.none

        var testDescription: String {
            "\(authority) at \(arrival), waypoint of \(attachment), application tunnel \(tunnel)"
        }

        init(
            _ arrival: Arrival, _ authority: String, _ expected: String, _ attachment: Attachment = .none,
            _ tunnel: Tunnel = .none
        ) {
            self.arrival = arrival
            self.authority = authority
            self.expected = expected
            self.attachment = attachment
            self.tunnel = tunnel
        }
    }

    static let client = Fixture.workload("client", ["10.0.0.1"])

    static func world(_ item: Case) -> (snapshot: MeshSnapshot, server: Workload, waypoint: Workload) {
        let gateway: GatewayAddress? =
            switch item.attachment {
            case .none: nil
            case .workloadByAddress, .serviceByAddress: Fixture.waypoint(at: "10.0.0.3")
            case .workloadByVIP, .serviceByVIP, .weighted: Fixture.waypoint(at: "10.10.0.2")
            }
        let ofWorkload = item.attachment == .workloadByAddress || item.attachment == .workloadByVIP
        let server = Fixture.workload("server", ["10.0.0.2"]) {
            $0.tunnelProtocol = .hbone
            $0.services = [Fixture.name("server"): [:]]
            if ofWorkload { $0.waypoint = gateway }
        }
        let waypoint = Fixture.workload("waypoint", ["10.0.0.3"]) {
            $0.services = [Fixture.name("waypoint"): [:]]
            switch item.tunnel {
            case .none: break
            case .proxy: $0.applicationTunnel = Workload.ApplicationTunnel(kind: .proxy, port: 15088)
            case .port: $0.applicationTunnel = Workload.ApplicationTunnel(kind: .none, port: 9000)
            }
        }
        let services = [
            Fixture.service("server", ["10.10.0.1"]) {
                if item.attachment == .weighted {
                    let other = Fixture.waypoint(at: "10.9.9.9")
                    $0.weightedWaypoints = [other, gateway].compactMap { $0 }.map {
                        Service.WeightedWaypoint(waypoint: $0, weight: 1)
                    }
                } else if !ofWorkload {
                    $0.waypoint = gateway
                }
            },
            Fixture.service("waypoint", ["10.10.0.2"]) { $0.ports = [15008: 15008] },
        ]
        return (MeshSnapshot(workloads: [client, server, waypoint], services: services), server, waypoint)
    }

    static func summary(_ decision: InboundDecision) -> String {
        switch decision {
        case .forward(let target):
            var text = target.dial.description
            if case .proxyProtocol(let header) = target.preface { text += " PROXY \(header)" }
            return text
        case .refused(let status, let refusal): return "\(status) \(refusal.reason.rawValue)"
        }
    }

    static func request(_ item: Case, localhost: Bool = false) -> (InboundDecision.Request, MeshSnapshot) {
        let world = world(item)
        return (
            InboundDecision.Request(
                workload: item.arrival == .server ? world.server : world.waypoint,
                localAddress: SocketAddress(Fixture.ip(item.arrival.rawValue), 15008),
                localhostApplicationTunnel: localhost), world.snapshot
        )
    }

    static let upstream: [Case] = [
        Case(.server, "10.0.0.2:8080", "10.0.0.2:8080"),
        Case(.server, "server.ns1.svc:80", "10.0.0.2:8080"),
        Case(.waypoint, "10.0.0.2:8080", "10.0.0.3:8080", .workloadByAddress),
        Case(.waypoint, "10.0.0.2:8080", "10.0.0.3:8080", .workloadByVIP),
        Case(.waypoint, "10.0.0.2:8080", "10.0.0.3:15088 PROXY 10.0.0.2:8080", .workloadByAddress, .proxy),
        Case(.waypoint, "10.10.0.1:8080", "10.0.0.3:8080", .serviceByAddress),
        Case(.waypoint, "10.10.0.1:8080", "10.0.0.3:8080", .serviceByVIP),
        Case(.waypoint, "10.10.0.1:8080", "10.0.0.3:8080", .weighted),
        Case(.waypoint, "10.10.0.1:8080", "10.0.0.3:15088 PROXY 10.10.0.1:8080", .serviceByVIP, .proxy),
        Case(.waypoint, "10.0.0.2:8080", "10.0.0.3:9000", .workloadByAddress, .port),
        Case(.server, "10.0.0.1:8080", "400 destination_mismatch"),
        Case(.waypoint, "10.0.0.1:8080", "400 destination_mismatch"),
        Case(.waypoint, "10.0.0.1:8080", "400 destination_mismatch", .workloadByAddress),
        Case(.waypoint, "10.0.0.2:8080", "400 destination_mismatch", .serviceByAddress),
        Case(.waypoint, "10.10.0.1:8080", "400 destination_mismatch", .workloadByAddress),
    ]

    static let stricter: [Case] = [
        // A name leads only to a pod behind it.
        Case(.waypoint, "server.ns1.svc:80", "400 destination_mismatch"),
        Case(.server, "waypoint.ns1.svc:15008", "400 destination_mismatch"),
        Case(.waypoint, "server.ns1.svc:80", "10.0.0.3:80", .serviceByVIP),
        Case(.waypoint, "server.ns1.svc:80", "10.0.0.3:15088 PROXY 10.10.0.1:80", .serviceByVIP, .proxy),
        Case(.server, "nobody.ns1.svc:80", "503 service_unknown"),
        Case(.server, "localhost:80", "503 service_unknown"),
        Case(.server, "server.ns1.svc:81", "503 service_port_unknown"),
        // Any address is for pods with an application tunnel only, and never these.
        Case(.waypoint, "8.8.8.8:53", "10.0.0.3:15088 PROXY 8.8.8.8:53", .none, .proxy),
        Case(.waypoint, "127.0.0.1:80", "400 authority_invalid", .none, .proxy),
        Case(.waypoint, "127.9.9.9:80", "400 authority_invalid", .none, .proxy),
        Case(.waypoint, "0.0.0.0:80", "400 authority_invalid", .none, .proxy),
        Case(.waypoint, "169.254.169.254:80", "400 authority_invalid", .none, .proxy),
        Case(.waypoint, "224.0.0.1:80", "400 authority_invalid", .none, .proxy),
        Case(.waypoint, "255.255.255.255:80", "400 authority_invalid", .none, .proxy),
        Case(.waypoint, "[::1]:80", "400 authority_invalid", .none, .proxy),
        Case(.waypoint, "[::]:80", "400 authority_invalid", .none, .proxy),
        Case(.waypoint, "[::127.0.0.1]:80", "400 authority_invalid", .none, .proxy),
        Case(.waypoint, "[64:ff9b::a9fe:a9fe]:80", "400 authority_invalid", .none, .proxy),
        Case(.waypoint, "[fe80::1]:80", "400 authority_invalid", .none, .proxy),
        Case(.waypoint, "[febf::1]:80", "400 authority_invalid", .none, .proxy),
        Case(.waypoint, "[ff02::1]:80", "400 authority_invalid", .none, .proxy),
        Case(.waypoint, "[fd00:ec2::254]:80", "400 authority_invalid", .none, .proxy),
        Case(.server, "127.0.0.1:80", "400 authority_invalid"),
        Case(.server, "169.254.169.254:80", "400 authority_invalid"),
        Case(.server, "[::ffff:10.0.0.2]:80", "400 authority_invalid"),
        Case(.server, "10.0.0.2", "400 authority_invalid"),
        Case(.server, "10.0.0.2:0", "400 authority_invalid"),
        Case(.server, "", "400 authority_invalid"),
        // Never to the proxy itself, unless an application tunnel takes it.
        Case(.server, "10.0.0.2:15001", "503 recursive_call"),
        Case(.server, "10.0.0.2:15006", "503 recursive_call"),
        Case(.server, "10.0.0.2:15008", "503 recursive_call"),
        Case(.waypoint, "10.0.0.3:15008", "10.0.0.3:15088 PROXY 10.0.0.3:15008", .none, .proxy),
    ]

    @Test(arguments: upstream + stricter) func decides(_ item: Case) {
        let (request, snapshot) = Self.request(item)
        let authority = Array(item.authority.utf8)
        #expect(Self.summary(.decide(request, authority: authority, in: snapshot)) == item.expected)
        let explained = InboundDecision.explain(request, authority: authority, in: snapshot)
        #expect(Self.summary(explained.decision) == item.expected)
        #expect(!explained.trace.steps.isEmpty)
    }

    @Test func proxyProtocolGoesToLoopbackButPolicySeesThePod() throws {
        let item = Case(.waypoint, "10.0.0.2:8080", "", .workloadByAddress, .proxy)
        let (request, snapshot) = Self.request(item, localhost: true)
        let decision = InboundDecision.decide(request, authority: Array(item.authority.utf8), in: snapshot)
        guard case .forward(let target) = decision else {
            Issue.record("refused")
            return
        }
        #expect(target.dial == Fixture.socket("127.0.0.1:15088"))
        #expect(target.destination == Fixture.socket("10.0.0.3:15088"))
    }

    @Test func theEndpointsOwnPortMapWins() {
        let server = Fixture.workload("server", ["10.0.0.2"]) { $0.services = [Fixture.name("server"): [80: 9090]] }
        let service = Fixture.service("server", ["10.10.0.1"]) { $0.ports = [80: 0, 81: 0] }
        let snapshot = MeshSnapshot(workloads: [server], services: [service])
        let request = InboundDecision.Request(workload: server, localAddress: Fixture.socket("10.0.0.2:15008"))
        func decide(_ text: String) -> String {
            Self.summary(.decide(request, authority: Array(text.utf8), in: snapshot))
        }
        #expect(decide("server.ns1.svc:80") == "10.0.0.2:9090")
        #expect(decide("server.ns1.svc:81") == "503 service_port_unknown")
    }

    @Test func aNameHiddenInAnotherNamespaceLeadsNowhere() {
        let hidden = Fixture.service("server") {
            $0.namespace = "ns2"
            $0.visibility = .namespace
        }
        let server = Fixture.workload("server", ["10.0.0.2"]) { $0.services = [hidden.serviceName: [:]] }
        let snapshot = MeshSnapshot(workloads: [server], services: [hidden])
        let request = InboundDecision.Request(workload: server, localAddress: Fixture.socket("10.0.0.2:15008"))
        let decision = InboundDecision.decide(request, authority: Array("server.ns1.svc:80".utf8), in: snapshot)
        #expect(Self.summary(decision) == "503 service_unknown")
    }

    @Test(arguments: [
        ("10.0.0.2:8080", "10.0.0.2:8080"), ("10.0.0.2:15001", "0 recursive_call"),
        ("10.0.0.2:15006", "0 recursive_call"), ("192.0.2.1:15008", "0 recursive_call"),
        ("[2001:db8::2]:80", "[2001:db8::2]:80"),
    ]) func plaintext(_ to: String, _ expected: String) {
        #expect(Self.summary(.decide(plaintextTo: Fixture.socket(to))) == expected)
    }
}
