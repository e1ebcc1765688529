import MeshModel
import RoutingCore
import Telemetry
import Testing

@testable import WaypointProxy

/// The small values of the waypoint: dates, ids, counters, keys.
@Suite struct WaypointValueTests {
    @Test(arguments: [
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"), (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"), (1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT"),
        (1_709_251_200, "Fri, 01 Mar 2024 00:00:00 GMT"), (4_102_444_799, "Thu, 31 Dec 2099 23:59:59 GMT"),
    ])
    func datesAreThoseOfRFC9110(_ second: UInt64, _ text: String) {
        #expect(HTTPClock.format(second) == text)
        var clock = HTTPClock()
        clock.advance(to: second * 1_000_000_000 + 999_999_999)
        #expect(second == 0 || clock.text == text)
    }

    @Test func requestIDsAreRandomUUIDs() {
        var random = RandomDraws(seed: 1)
        let ids = (0..<1000).map { _ in RequestID(&random).text }
        #expect(Set(ids).count == ids.count)
        for id in ids {
            let parts = id.split(separator: "-")
            #expect(parts.map(\.count) == [8, 4, 4, 4, 12])
            #expect(parts[2].hasPrefix("4"))
            #expect(["8", "9", "a", "b"].contains { parts[3].hasPrefix($0) })
            #expect(id.utf8.allSatisfy { $0 == 45 || (48...57).contains($0) || (97...102).contains($0) })
        }
    }

    @Test func requestsAreCountedInABoundedTable() {
        var table = RequestTable()
        func labels(_ name: String) -> TrafficLabels {
            var labels = TrafficLabels(reporter: .waypoint)
            labels.destinationServiceName = name
            return labels
        }
        let shop = table.row(labels("shop"))
        #expect(table.row(labels("shop")) == shop)
        for status: UInt16 in [200, 200, 404, 0, 600] { table.count(status, .none, row: shop) }
        table.count(404, .noRoute, row: shop)
        #expect(table.total == 6)
        #expect(table.rows[shop].outcomes.map(\.outcome.status) == [200, 404, 0, 404])
        #expect(table.rows[shop].outcomes.map(\.count) == [2, 1, 2, 1])
        // An application may answer with any status it likes: what a row holds is bounded, and no request is lost.
        for status: UInt16 in 100..<600 { table.count(status, .none, row: shop) }
        #expect(table.rows[shop].outcomes.count == RequestTable.outcomeLimit)
        #expect(table.rows[shop].outcomes.reduce(0) { $0 + $1.count } == 506)
        for number in 0..<2000 { table.count(200, .none, row: table.row(labels("s\(number)"))) }
        #expect(table.rows.count == RequestTable.rowLimit)
        #expect(table.rows.last?.labels.destinationService == "overflow")
        #expect(table.rows.last?.outcomes.first?.count == UInt64(2000 - (RequestTable.rowLimit - 2)))
    }

    @Test func everyReasonHasAProxyStatus() {
        for reason in Reason.allCases {
            let value = ProxyStatus.value(reason)
            #expect(value.hasPrefix("ztun-waypoint; error="))
            #expect(value.hasSuffix("; details=\"\(reason.rawValue)\""))
        }
    }

    @Test func upstreamsAreSharedOnlyWhereAllIsEqual() throws {
        func key(_ port: UInt16, tunnel: TunnelUse, account: String) throws -> UpstreamKey {
            var fields = Workload.Fields()
            fields.uid = "w"
            fields.name = "w"
            fields.namespace = "d"
            fields.addresses = [IPAddress(v4: 0x0a00_0001)]
            fields.serviceAccount = account
            fields.trustDomain = "t"
            fields.tunnelProtocol = tunnel == .yes ? .hbone : .tcp
            let snapshot = MeshSnapshot(workloads: [Workload(fields)])
            var waypoint = Workload.Fields()
            waypoint.uid = "p"
            var random = RandomDraws(seed: 0)
            let choice = try L7Upstream.choose(
                .workload(namespace: "d", name: "w", port: port),
                called: .workload(Workload(fields), SocketAddress(IPAddress(v4: 1), 1)), waypoint: Workload(waypoint),
                excluding: [], in: snapshot, random: &random)
            return UpstreamKey(choice)
        }
        let one = try key(80, tunnel: .yes, account: "a")
        #expect(try one == key(80, tunnel: .yes, account: "a"))
        #expect(try one != key(81, tunnel: .yes, account: "a"))
        #expect(try one != key(80, tunnel: .no, account: "a"))
        #expect(try one != key(80, tunnel: .yes, account: "b"))
    }

    private enum TunnelUse { case yes, no }
}
