import MeshModel
import RoutingCore
import Testing

/// What a tunnel to a waypoint may lead to, and which endpoint a request goes to.
@Suite struct HTTPRouteDestinationTests {
    private static let waypointIP = IPAddress(v4: 0x0a00_0014)
    private static let bound = ServiceName(namespace: "d", hostname: "bound")
    private static let waypoint = workload("waypoint", 0x0a00_0014)

    private static func workload(_ name: String, _ ip: UInt32, _ change: (inout Workload.Fields) -> Void = { _ in })
        -> Workload
    {
        var fields = Workload.Fields()
        fields.uid = name
        fields.name = name
        fields.namespace = "d"
        fields.serviceAccount = name
        fields.trustDomain = "t"
        fields.addresses = [IPAddress(v4: ip)]
        fields.tunnelProtocol = .hbone
        change(&fields)
        return Workload(fields)
    }

    private static func service(_ name: String, _ vip: UInt32, bound: Bool) -> Service {
        var fields = Service.Fields()
        fields.name = name
        fields.namespace = "d"
        fields.hostname = name
        fields.vips = [NetworkAddress(network: "", ip: IPAddress(v4: vip))]
        fields.ports = [80: 8080]
        if bound {
            fields.waypoint = GatewayAddress(destination: .address(NetworkAddress(network: "", ip: waypointIP)))
        }
        return Service(fields)
    }

    private static let snapshot = MeshSnapshot(
        workloads: [
            waypoint, workload("client", 0x0a00_0001),
            workload("a", 0x0a00_000a) { $0.services = [bound: [80: 8080]] },
            workload("b", 0x0a00_000b) {
                $0.services = [bound: [80: 9090]]
                $0.tunnelProtocol = .tcp
            },
            workload("sick", 0x0a00_000c) {
                $0.services = [bound: [80: 8080]]
                $0.health = .unhealthy
            },
            workload("far", 0x0a00_000d) { $0.network = "other" },
            workload("mine", 0x0a00_000e) {
                $0.waypoint = GatewayAddress(
                    destination: .address(NetworkAddress(network: "", ip: HTTPRouteDestinationTests.waypointIP)))
            },
        ],
        services: [service("bound", 0x0a60_0001, bound: true), service("free", 0x0a60_0002, bound: false)])

    private static func decide(_ authority: String, peer: String = "client") -> String {
        do throws(Refusal) {
            let destination = try L7Destination.decide(
                authority: authority.utf8, waypoint: waypoint,
                peer: SpiffeID(trustDomain: "t", namespace: "d", serviceAccount: peer), in: snapshot)
            switch destination {
            case .service(let service, let address): return "service \(service.fields.name) \(address)"
            case .workload(let workload, let address): return "workload \(workload.fields.name) \(address)"
            }
        } catch {
            return error.reason.rawValue
        }
    }

    @Test(arguments: [
        ("10.96.0.1:80", "service bound 10.96.0.1:80"), ("10.0.0.14:1234", "workload mine 10.0.0.14:1234"),
        ("10.96.0.1:81", "service_port_unknown"), ("10.96.0.2:80", "destination_mismatch"),
        ("10.0.0.10:8080", "destination_mismatch"), ("10.0.0.20:15000", "destination_mismatch"),
        ("127.0.0.1:15000", "destination_mismatch"), ("169.254.169.254:80", "destination_mismatch"),
        ("bound:80", "destination_mismatch"), ("10.96.0.1", "authority_invalid"), ("", "authority_invalid"),
    ])
    func leadsOnlyToWhatIsBound(_ authority: String, _ expected: String) {
        #expect(Self.decide(authority) == expected)
    }

    @Test func servesNobodyOfItsOwnIdentity() {
        #expect(Self.decide("10.96.0.1:80", peer: "waypoint") == "recursive_call")
    }

    private static func choose(
        _ backend: HTTPRoute.Backend.Destination, excluding: [String] = [], seed: UInt64 = 1
    ) -> String {
        guard let service = snapshot.service(bound) else { return "no service" }
        var random = RandomDraws(seed: seed)
        do throws(Refusal) {
            let choice = try L7Upstream.choose(
                backend, called: .service(service, SocketAddress(IPAddress(v4: 0x0a60_0001), 80)), waypoint: waypoint,
                excluding: excluding, in: snapshot, random: &random)
            let account = choice.expected.map(\.serviceAccount).joined(separator: ",")
            return "\(choice.address) \(choice.isTunnelled ? "hbone" : "tcp") \(account)"
                + (choice.mayTryAnother ? " or another" : "")
        } catch {
            return error.reason.rawValue
        }
    }

    @Test func choosesAmongHealthyEndpoints() {
        let found = Set((0..<64).map { Self.choose(.called, seed: $0) })
        #expect(found == ["10.0.0.10:8080 hbone a or another", "10.0.0.11:9090 tcp b or another"])
        #expect(Self.choose(.called, excluding: ["a"]) == "10.0.0.11:9090 tcp b or another")
        #expect(Self.choose(.called, excluding: ["a", "b"]) == "no_healthy_upstream")
    }

    @Test(arguments: [
        (HTTPRoute.Backend.Destination.workload(namespace: "d", name: "a", port: 7), "10.0.0.10:7 hbone a"),
        (.workload(namespace: "d", name: "nobody", port: 7), "workload_unknown"),
        (.workload(namespace: "d", name: "sick", port: 7), "no_healthy_upstream"),
        (.workload(namespace: "d", name: "far", port: 7), "gateway_unknown"),
        (.workload(namespace: "d", name: "waypoint", port: 15000), "recursive_call"),
        (.service(ServiceName(namespace: "d", hostname: "free"), port: 80), "no_healthy_upstream"),
        (.service(ServiceName(namespace: "d", hostname: "none"), port: 80), "service_unknown"),
        (.service(HTTPRouteDestinationTests.bound, port: 81), "service_port_unknown"),
    ])
    func resolvesBackends(_ backend: HTTPRoute.Backend.Destination, _ expected: String) {
        #expect(Self.choose(backend) == expected)
    }
}
