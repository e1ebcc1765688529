import MeshModel
import StatusModel
import Telemetry
import Testing

@testable import AdminServer

#if canImport(FoundationEssentials)
import FoundationEssentials
#endif

@Suite struct ListingTests {
    /// The parts of an answer that `ztun` decodes.
    struct Answer: Decodable {
        struct Row: Decodable {
            var name: String?
            var waypointName: String?
            var endpointsHealthy: Int?
            var endpointsTotal: Int?
            var endpoints: [String: Endpoint]?
            var reason: String?
            var pod: String?
            var local: String?
            var localName: String?
            var remote: String?
            var target: String?
            var identity: String?
        }
        struct Endpoint: Decodable { var workloadUid: String }
        var total: Int
        var matching: Int
        var silentWorkers: Int?
        var workloads: [Row]?
        var services: [Row]?
        var policies: [Row]?
        var connections: [Row]?
        var denials: [Row]?
    }

    static let now: UInt64 = 10_000_000_000_000

    static var snapshot: MeshSnapshot {
        let service = ServiceName(namespace: "app", hostname: "web.app.svc.cluster.local")
        let waypoint = ServiceName(namespace: "app", hostname: "way.app.svc.cluster.local")
        let workloads = (1...5).map { number in
            var fields = Workload.Fields()
            fields.uid = "uid\(number)"
            fields.name = "web-\(number)"
            fields.namespace = number < 5 ? "app" : "other"
            fields.node = number % 2 == 0 ? "even" : "odd"
            fields.addresses = [IPAddress(v4: 0x0a00_0000 + UInt32(number))]
            fields.health = number == 1 ? .unhealthy : .healthy
            fields.services = [service: [80: 8080]]
            fields.waypoint = GatewayAddress(
                destination: number == 2
                    ? .hostname(waypoint) : .address(NetworkAddress(network: "", ip: IPAddress(v4: 0x0a0a_0009))))
            return Workload(fields)
        }
        let services = [service, waypoint].map { name in
            var fields = Service.Fields()
            fields.name = String(name.hostname.prefix(3))
            fields.namespace = "app"
            fields.hostname = name.hostname
            return Service(fields)
        }
        let policy = AuthorizationPolicy(name: "p", namespace: "app", scope: .namespace, action: .deny, rules: [])
        return MeshSnapshot(workloads: workloads, services: services, policies: [policy])
    }

    static func answer(_ kind: ListQuery.Kind, _ text: String = "") throws -> Answer {
        var listing = Listing(
            query: ListQuery(kind, AdminQuery(text)), program: "ztund", snapshot: snapshot, now: now)
        var worker = WorkerAnswer()
        let client = SocketAddress(IPAddress(v4: 0x0a00_0001), 4000)
        let server = SocketAddress(IPAddress(v4: 0x0a00_0002), 8080)
        worker.connections = 2
        var inbound = LiveConnection(
            pod: "app/web-2", direction: .inbound, transport: .hbone, source: client, destination: server)
        inbound.peer = SpiffeID("spiffe://cluster.local/ns/app/sa/client")
        inbound.service = "web.app.svc.cluster.local"
        inbound.target = inbound.service
        let outbound = LiveConnection(
            pod: "app/web-1", direction: .outbound, transport: .tcp, source: client, destination: server)
        worker.live = [inbound, outbound]
        for number: UInt64 in 0..<3000 {
            let reason: Reason = number % 2 == 0 ? .policyDenied : .connectFailed
            let pod = number % 3 == 0 ? "app/web-2" : "x/y"
            worker.refusals.append(
                Telemetry.Refusal(
                    time: now - number * 1_000_000_000, reason: reason, direction: .inbound, source: client,
                    destination: server, pod: pod))
        }
        listing.answers = [worker]
        listing.silentWorkers = 1
        return try JSONDecoder().decode(Answer.self, from: Data(listing.bytes()))
    }

    @Test(arguments: [
        ("", 5, 5), ("namespace=app", 4, 4), ("namespace=app&name=web-2", 1, 1), ("node=odd", 3, 3),
        ("limit=2", 5, 2), ("limit=0", 5, 0), ("address=10.0.0.3", 1, 1), ("namespace=none", 0, 0),
    ])
    func workloads(_ query: String, _ matching: Int, _ rows: Int) throws {
        let answer = try Self.answer(.workloads, query)
        #expect((answer.total, answer.matching, answer.workloads?.count) == (5, matching, rows))
    }

    @Test func theWaypointIsNamedAsIstioctlNamesIt() throws {
        let answer = try Self.answer(.workloads, "namespace=app")
        #expect(answer.workloads?.map(\.waypointName) == ["NA", "way", "NA", "NA"])
        #expect(try Self.answer(.services).services?.map(\.waypointName) == ["None", "None"])
    }

    @Test func servicesCountTheirEndpointsAndShowThemOneByOne() throws {
        let all = try #require(try Self.answer(.services).services)
        #expect(all.map(\.name) == ["way", "web"])
        #expect(all.map(\.endpointsHealthy) == [0, 4])
        #expect(all.map(\.endpointsTotal) == [0, 5])
        #expect(all[1].endpoints?.isEmpty == true)
        let one = try #require(try Self.answer(.services, "namespace=app&name=web").services?.first)
        #expect(one.endpoints?.count == 5)
    }

    @Test(arguments: [
        ("limit=5000", 3000), ("reason=policy_denied", 1500), ("since=10", 11), ("pod=app%2Fweb-2", 1000),
        ("reason=policy_denied&since=9&pod=app/web-2", 2), ("direction=outbound", 0), ("address=10.0.0.2", 3000),
        ("since=18446744073709551615", 3000),
    ])
    func denials(_ query: String, _ matching: Int) throws {
        let answer = try Self.answer(.denials, query)
        #expect(answer.matching == matching)
        #expect(answer.denials?.count == min(matching, query == "limit=5000" ? 5000 : 1000))
    }

    @Test func connectionsHaveBothSides() throws {
        let answer = try Self.answer(.connections)
        #expect(answer.silentWorkers == 1)
        let rows = try #require(answer.connections)
        #expect(rows.map(\.pod) == ["app/web-1", "app/web-2"])
        #expect(rows.map(\.local) == ["10.0.0.1:4000", "10.0.0.2:8080"])
        #expect(rows.map(\.localName) == ["web-1.app:4000", "web-2.app:8080"])
        #expect(rows.map(\.remote) == ["10.0.0.2:8080", "10.0.0.1:4000"])
        #expect(rows[1].target == "web.app.svc.cluster.local")
        #expect(try Self.answer(.connections, "identity=sa/client").matching == 1)
        #expect(try Self.answer(.connections, "direction=outbound&pod=app/web-1").matching == 1)
        #expect(try Self.answer(.connections, "pod=app/none").matching == 0)
    }

    @Test func noAnswerIsLongerThanItsLimit() {
        #expect(ListQuery(.workloads, AdminQuery("limit=99999999")).limit == ListQuery.longest)
        #expect(ListQuery(.workloads, AdminQuery("limit=-1")).limit == 1000)
        #expect(ListQuery(.workloads, AdminQuery("limit=x")).limit == 1000)
    }

    @Test func listsAreOnTheControlSocketOnly() {
        for kind in ListQuery.Kind.allCases {
            #expect(
                AdminRoute(.control, method: "GET", target: "/\(kind.rawValue)?pod=a%2Fb", accept: "")
                    == .list(ListQuery(kind, AdminQuery("pod=a/b"))))
            for surface in [AdminSurface.admin, .metrics, .readiness] {
                guard case .refused(let response) = AdminRoute(surface, method: "GET", target: "/\(kind)", accept: "")
                else {
                    Issue.record("\(kind) is reachable on \(surface)")
                    continue
                }
                #expect(response.status == 404)
            }
        }
    }

    @Test(arguments: [0, 1, 2, 10, 99, 1000, 5000]) func theFirstRowsAreThoseOfTheSortedList(_ limit: Int) {
        // Every value twice, in an order that is neither.
        let values = (0..<2000).map { ($0 &* 7919) % 1000 }
        #expect(values.smallest(limit, by: <) == Array(values.sorted().prefix(limit)))
        #expect(values.smallest(limit, by: >) == Array(values.sorted(by: >).prefix(limit)))
    }
}
