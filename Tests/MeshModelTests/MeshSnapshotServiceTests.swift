import MeshModel
import Testing

/// Which service an address or a host name means, for whom.
@Suite struct MeshSnapshotServiceTests {
    static func ranged(
        _ host: String, in namespace: String = "ns2", _ ranges: [String], canonical: Bool = false,
        visibility: Service.Visibility = .public, network: String = ""
    ) -> Service {
        State.service(host, in: namespace) {
            $0.cidrVips = ranges.map { State.range($0, network: network) }
            $0.canonical = canonical
            $0.visibility = visibility
        }
    }

    struct Case: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var services: [Service]
        var address: NetworkAddress
        var client: String
        var expected: String?

        init(
            _ description: String, _ services: [Service], _ address: NetworkAddress, from client: String = "ns1",
            _ expected: String?
        ) {
            testDescription = description
            self.services = services
            self.address = address
            self.client = client
            self.expected = expected
        }
    }

    static let table: [Case] = [
        Case("exact", [State.service("a", ["10.0.0.1"])], State.at("10.0.0.1"), "a"),
        Case("none", [State.service("a", ["10.0.0.1"])], State.at("10.0.0.2"), nil),
        Case("another network", [State.service("a", ["10.0.0.1"])], State.at("10.0.0.1", network: "n"), nil),
        Case("IPv6", [State.service("a", ["2001:db8::1"])], State.at("2001:db8::1"), "a"),
        Case(
            "own namespace before others",
            [State.service("a", in: "ns2", ["10.0.0.1"]), State.service("b", in: "ns1", ["10.0.0.1"])],
            State.at("10.0.0.1"), "b"),
        Case(
            "own namespace before canonical",
            [
                State.service("a", in: "ns2", ["10.0.0.1"]) { $0.canonical = true },
                State.service("b", in: "ns1", ["10.0.0.1"]),
            ], State.at("10.0.0.1"), "b"),
        Case(
            "canonical before first",
            [
                State.service("a", in: "ns2", ["10.0.0.1"]),
                State.service("b", in: "ns3", ["10.0.0.1"]) { $0.canonical = true },
            ], State.at("10.0.0.1"), "b"),
        Case(
            "first of several",
            [State.service("a", in: "ns2", ["10.0.0.1"]), State.service("b", in: "ns3", ["10.0.0.1"])],
            State.at("10.0.0.1"), "a"),
        Case(
            "hidden in another namespace",
            [State.service("a", in: "ns2", ["10.0.0.1"]) { $0.visibility = .namespace }], State.at("10.0.0.1"), nil),
        Case(
            "hidden, seen from its own",
            [State.service("a", in: "ns2", ["10.0.0.1"]) { $0.visibility = .namespace }], State.at("10.0.0.1"),
            from: "ns2", "a"),
        Case(
            "hidden canonical one does not count",
            [
                State.service("a", in: "ns2", ["10.0.0.1"]) {
                    $0.visibility = .namespace
                    $0.canonical = true
                }, State.service("b", in: "ns3", ["10.0.0.1"]),
            ], State.at("10.0.0.1"), "b"),
        Case(
            "the longest range", [ranged("a", ["10.0.0.0/8"]), ranged("b", ["10.1.0.0/16"])], State.at("10.1.2.3"), "b"),
        Case(
            "the longest range, listed first", [ranged("b", ["10.1.0.0/16"]), ranged("a", ["10.0.0.0/8"])],
            State.at("10.1.2.3"), "b"),
        Case(
            "the shorter range", [ranged("a", ["10.0.0.0/8"]), ranged("b", ["10.1.0.0/16"])], State.at("10.2.2.3"), "a"),
        Case("no range", [ranged("a", ["10.0.0.0/8"])], State.at("11.0.0.1"), nil),
        Case(
            "IPv6 ranges", [ranged("a", ["2001:db8::/32"]), ranged("b", ["2001:db8:1::/48"])],
            State.at("2001:db8:1::9"), "b"),
        Case("ranges of one family", [ranged("a", ["::/0"])], State.at("10.0.0.1"), nil),
        Case("ranges of the other family", [ranged("a", ["0.0.0.0/0"])], State.at("2001:db8::1"), nil),
        Case("everything", [ranged("a", ["0.0.0.0/0"])], State.at("1.1.1.1"), "a"),
        Case(
            "exact before range",
            [ranged("a", in: "ns1", ["10.0.0.0/31"]), State.service("b", in: "ns2", ["10.0.0.1"])],
            State.at("10.0.0.1"), "b"),
        Case(
            "a whole-length range is an address",
            [State.service("a", in: "ns2", ["10.0.0.1"]), ranged("b", in: "ns1", ["10.0.0.1/32"])],
            State.at("10.0.0.1"), "b"),
        Case(
            "own namespace before specificity", [ranged("a", in: "ns1", ["10.0.0.0/8"]), ranged("b", ["10.1.0.0/16"])],
            State.at("10.1.2.3"), "a"),
        Case(
            "specificity before canonical",
            [ranged("a", ["10.0.0.0/8"], canonical: true), ranged("b", ["10.1.0.0/16"])], State.at("10.1.2.3"), "b"),
        Case(
            "canonical of equal ranges",
            [ranged("a", ["10.0.0.0/8"]), ranged("b", in: "ns3", ["10.0.0.0/8"], canonical: true)],
            State.at("10.1.2.3"), "b"),
        Case("range on another network", [ranged("a", ["10.0.0.0/8"], network: "n")], State.at("10.0.0.1"), nil),
        Case(
            "hidden range falls through to a shorter one",
            [ranged("a", ["10.0.0.0/8"]), ranged("b", ["10.1.0.0/16"], visibility: .namespace)], State.at("10.1.2.3"),
            "a"),
        Case(
            "hidden exact falls through to a range",
            [
                State.service("b", in: "ns2", ["10.0.0.1"]) { $0.visibility = .namespace },
                ranged("a", in: "ns3", ["10.0.0.0/8"]),
            ],
            State.at("10.0.0.1"), "a"),
    ]

    @Test(arguments: table) func byAddress(_ item: Case) {
        let built = MeshSnapshot(services: item.services)
        let grown = item.services.reduce(MeshSnapshot()) { $0.applying(MeshChanges(services: [$1])) }
        for snapshot in [built, grown] {
            #expect(snapshot.service(at: item.address, visibleTo: item.client)?.fields.hostname == item.expected)
        }
        let emptied = built.applying(MeshChanges(removedServices: item.services.map(\.serviceName)))
        #expect(emptied.service(at: item.address, visibleTo: item.client) == nil)
        #expect(emptied.serviceCount == 0)
    }

    @Test func byHost() {
        let a = State.service("web", in: "ns2")
        let b = State.service("web", in: "ns3") { $0.canonical = true }
        let c = State.service("web", in: "ns4") { $0.visibility = .namespace }
        let snapshot = MeshSnapshot(services: [a, b, c])
        #expect(snapshot.service(host: "web", visibleTo: "ns1") === b)
        #expect(snapshot.service(host: "web", visibleTo: "ns2") === a)
        #expect(snapshot.service(host: "web", visibleTo: "ns4") === c)
        #expect(snapshot.service(host: "other", visibleTo: "ns1") == nil)
        #expect(snapshot.services(host: "web").count == 3)
        let less = snapshot.applying(MeshChanges(removedServices: [b.serviceName]))
        #expect(less.service(host: "web", visibleTo: "ns1") === a)
        #expect(snapshot.service(host: "web", visibleTo: "ns1") === b)
    }

    @Test func aChangedServiceKeepsItsRankAndLosesItsOldAddresses() {
        let a = State.service("a", in: "ns2", ["10.0.0.1", "10.0.0.2"]) { $0.cidrVips = [State.range("10.1.0.0/16")] }
        let b = State.service("b", in: "ns3", ["10.0.0.1"])
        let changed = State.service("a", in: "ns2", ["10.0.0.1", "10.0.0.3"]) {
            $0.cidrVips = [State.range("10.2.0.0/16")]
        }
        let snapshot = MeshSnapshot(services: [a, b]).applying(MeshChanges(services: [changed]))
        #expect(snapshot.service(at: State.at("10.0.0.1"), visibleTo: "ns1") === changed)
        #expect(snapshot.service(at: State.at("10.0.0.2"), visibleTo: "ns1") == nil)
        #expect(snapshot.service(at: State.at("10.0.0.3"), visibleTo: "ns1") === changed)
        #expect(snapshot.service(at: State.at("10.1.0.1"), visibleTo: "ns1") == nil)
        #expect(snapshot.service(at: State.at("10.2.0.1"), visibleTo: "ns1") === changed)
        #expect(snapshot.service(changed.serviceName) === changed && snapshot.serviceCount == 2)
    }

    @Test func anAddressListedTwiceIsRemovedWhole() {
        let twice = State.service("a", ["10.0.0.1", "10.0.0.1"]) {
            $0.cidrVips = [State.range("10.1.0.0/16"), State.range("10.1.0.0/16"), State.range("10.0.0.1/32")]
        }
        let snapshot = MeshSnapshot(services: [twice]).applying(MeshChanges(removedServices: [twice.serviceName]))
        #expect(snapshot.service(at: State.at("10.0.0.1"), visibleTo: "ns1") == nil)
        #expect(snapshot.service(at: State.at("10.1.0.1"), visibleTo: "ns1") == nil)
    }
}
