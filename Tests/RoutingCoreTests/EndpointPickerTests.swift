import MeshModel
import RoutingCore
import Testing

/// Which endpoints of a service are chosen between, and how often each.
@Suite struct EndpointPickerTests {
    static func endpoint(
        _ name: String, network: String = "net", region: String = "reg", zone: String = "zone", address: Bool = true,
        capacity: UInt32 = 1, _ change: (inout Workload.Fields) -> Void = { _ in }
    ) -> Endpoint {
        let workload = Fixture.workload(name, address ? ["10.0.0.1"] : []) {
            $0.network = network
            $0.networkGateway = Fixture.waypoint(at: "10.22.1.1")
            $0.locality = Workload.Locality(region: region, zone: zone)
            $0.capacity = capacity
            change(&$0)
        }
        return Endpoint(workload: workload, ports: [:])
    }

    static let endpoints = [
        endpoint("match"), endpoint("almost", zone: "other-zone"), endpoint("none", region: "", zone: ""),
        endpoint("other", network: "other-net"), endpoint("noip", address: false),
    ]

    struct Case: CustomTestStringConvertible, Sendable {
        var mode: Service.LoadBalancer.Mode
        var network: String
        var region: String
        var zone: String
        var expected: Set<String>
        var testDescription: String { "\(mode) from \(network)/\(region)/\(zone)" }
    }

    static func picker(
        _ mode: Service.LoadBalancer.Mode, _ source: Endpoint, _ preferences: [Service.RoutingPreference]
    ) -> EndpointPicker {
        let service = Fixture.service("web") {
            $0.loadBalancer = Service.LoadBalancer()
            $0.loadBalancer?.mode = mode
            $0.loadBalancer?.routingPreferences = preferences
        }
        return EndpointPicker(service: service, port: 80, source: source.workload)
    }

    @Test(arguments: [
        Case(mode: .strict, network: "x", region: "x", zone: "x", expected: []),
        Case(mode: .strict, network: "net", region: "reg", zone: "x", expected: []),
        Case(mode: .strict, network: "net", region: "reg", zone: "zone", expected: ["match"]),
        Case(mode: .failover, network: "x", region: "x", zone: "x", expected: ["match", "almost", "none", "other"]),
        Case(mode: .failover, network: "net", region: "reg", zone: "zone", expected: ["match"]),
        Case(mode: .failover, network: "net", region: "reg", zone: "x", expected: ["match", "almost"]),
        Case(mode: .failover, network: "net", region: "x", zone: "x", expected: ["match", "almost", "none"]),
        Case(mode: .failover, network: "x", region: "reg", zone: "zone", expected: ["match", "other"]),
        Case(mode: .failover, network: "other-net", region: "reg", zone: "x", expected: ["other"]),
        Case(
            mode: .standard, network: "net", region: "reg", zone: "zone",
            expected: ["match", "almost", "none", "other"]),
    ]) func locality(_ item: Case) {
        let source = Self.endpoint("source", network: item.network, region: item.region, zone: item.zone)
        let picker = Self.picker(item.mode, source, [.network, .region, .zone])
        // Without an address an endpoint is of use only behind a gateway.
        let usable = Self.endpoints.filter { $0.workload.fields.name != "noip" || item.network == "net" }
        let candidates = Set(picker.candidates(in: usable).map(\.workload.fields.name))
        #expect(candidates == item.expected)
        var random = RandomDraws(seed: 3)
        var picked = Set<String>()
        for _ in 0..<200 {
            if let choice = picker.pick(from: EndpointList(usable), random: &random) {
                picked.insert(choice.workload.fields.name)
            }
        }
        #expect(picked == item.expected)
    }

    @Test func othersOfTheLocalityCount() {
        let source = Self.endpoint("source") {
            $0.node = "n1"
            $0.clusterID = "c1"
            $0.locality.subzone = "s1"
        }
        let near = Self.endpoint("near") {
            $0.node = "n1"
            $0.clusterID = "c1"
            $0.locality.subzone = "s1"
        }
        for preference in [Service.RoutingPreference.node, .cluster, .subzone] {
            let far = Self.endpoint("far") {
                $0.node = preference == .node ? "n2" : "n1"
                $0.clusterID = preference == .cluster ? "c2" : "c1"
                $0.locality.subzone = preference == .subzone ? "s2" : "s1"
            }
            let picker = Self.picker(.failover, source, [preference])
            #expect(picker.candidates(in: [far, near]).map(\.workload.fields.name) == ["near"])
        }
    }

    @Test func aLeadingNetworkOutweighsAllTheRest() {
        let source = Self.endpoint("source", region: "far-reg", zone: "far-zone")
        let near = Self.endpoint("near", network: "other-net", region: "far-reg", zone: "far-zone")
        let picker = Self.picker(.failover, source, [.network, .region, .zone])
        #expect(picker.candidates(in: [near] + Self.endpoints.prefix(1)).map(\.workload.fields.name) == ["match"])
        // Not so where the network is not what the list begins with.
        let late = Self.picker(.failover, source, [.region, .network])
        #expect(late.candidates(in: [near] + Self.endpoints.prefix(1)).map(\.workload.fields.name) == ["near"])
    }

    @Test func emptyRegionsAreEqual() {
        let source = Self.endpoint("source", region: "", zone: "")
        let picker = Self.picker(.strict, source, [.region])
        #expect(picker.candidates(in: Self.endpoints).map(\.workload.fields.name) == ["none"])
    }

    @Test func capacityIsAWeight() throws {
        let source = Self.endpoint("source")
        let picker = Self.picker(.standard, source, [])
        let endpoints = [
            Self.endpoint("one", capacity: 1), Self.endpoint("three", capacity: 3), Self.endpoint("zero", capacity: 0),
        ]
        var random = RandomDraws(seed: 1)
        var counts: [String: Int] = [:]
        for _ in 0..<20_000 {
            let choice = try #require(picker.pick(from: EndpointList(endpoints), random: &random))
            counts[choice.workload.fields.name, default: 0] += 1
        }
        let three = try #require(counts["three"])
        #expect((14_700...15_300).contains(three))
        #expect(counts["one"] == 20_000 - three)
    }

    /// Whether many endpoints weigh the same or not, each that is usable is chosen as often as the next, the others never.
    @Test(arguments: [UInt32(1), 5, 0]) func manyEndpointsAreChosenEvenly(_ odd: UInt32) throws {
        let source = Self.endpoint("source")
        let picker = EndpointPicker(
            service: Fixture.service("web"), port: 80, source: source.workload,
            excluding: [Self.endpoint("e7").workload.fields.uid])
        // Two of three are unhealthy; one of these has another capacity or not.
        let endpoints = (0..<60).map { index in
            Self.endpoint("e\(index)", capacity: index == 0 ? odd : 1) {
                $0.health = index % 3 == 1 ? .healthy : .unhealthy
            }
        }
        let list = EndpointList(endpoints)
        #expect((list.uniformCapacity == 1) == (odd == 1))
        var random = RandomDraws(seed: 9)
        var counts: [String: Int] = [:]
        for _ in 0..<19_000 {
            let choice = try #require(picker.pick(from: list, random: &random))
            counts[choice.workload.fields.name, default: 0] += 1
        }
        #expect(counts.count == 19 && counts["e7"] == nil)
        #expect(counts.values.allSatisfy { (850...1150).contains($0) }, "\(counts)")
    }

    @Test func capacityZeroEverywhereIsNoEndpoint() {
        let source = Self.endpoint("source")
        var random = RandomDraws(seed: 1)
        let endpoints = (0..<20).map { Self.endpoint("e\($0)", capacity: 0) }
        #expect(Self.picker(.standard, source, []).pick(from: EndpointList(endpoints), random: &random)?.port == nil)
    }

    @Test func largestCapacitiesDoNotOverflow() {
        let source = Self.endpoint("source")
        let picker = Self.picker(.standard, source, [])
        let endpoints = (0..<8).map { Self.endpoint("e\($0)", capacity: .max) }
        var random = RandomDraws(seed: 5)
        var seen = Set<String>()
        for _ in 0..<400 {
            seen.insert(picker.pick(from: EndpointList(endpoints), random: &random)?.workload.fields.name ?? "none")
        }
        #expect(seen.count == 8 && !seen.contains("none"))
    }

    struct Ports: Sendable, CustomTestStringConvertible {
        var endpoint: [UInt16: UInt16] = [:]
        var service: [UInt16: UInt16] = [:]
        var tunnelPort: UInt16?
        var purpose = EndpointPicker.Purpose.traffic
        var expected: UInt16?
        var testDescription: String {
            "endpoint \(endpoint), service \(service), tunnel \(tunnelPort as Any), \(purpose)"
        }
    }

    @Test(arguments: [
        Ports(endpoint: [80: 9090], service: [80: 8080], expected: 9090),
        Ports(endpoint: [90: 9090], service: [80: 8080], expected: 8080),
        Ports(endpoint: [:], service: [80: 0], tunnelPort: 15088, expected: 80),
        Ports(endpoint: [:], service: [80: 0], expected: nil),
        Ports(endpoint: [80: 0], service: [80: 8080], expected: 8080),
        Ports(endpoint: [80: 9090], service: [:], expected: nil),
        Ports(endpoint: [:], service: [:], tunnelPort: 15088, expected: nil),
        Ports(endpoint: [:], service: [:], tunnelPort: 15088, purpose: .waypoint, expected: 80),
        Ports(endpoint: [:], service: [:], purpose: .waypoint, expected: nil),
        Ports(endpoint: [80: 9090], service: [:], purpose: .waypoint, expected: 9090),
    ]) func targetPort(_ item: Ports) {
        let service = Fixture.service("web") { $0.ports = item.service }
        let workload = Fixture.workload("server", ["10.0.0.1"]) { fields in
            fields.applicationTunnel = item.tunnelPort.map { Workload.ApplicationTunnel(kind: .proxy, port: $0) }
        }
        let endpoint = Endpoint(workload: workload, ports: item.endpoint)
        let picker = EndpointPicker(service: service, port: 80, purpose: item.purpose, source: workload)
        #expect(picker.targetPort(of: endpoint) == item.expected)
    }
}
