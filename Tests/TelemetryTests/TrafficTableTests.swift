import MeshModel
import Telemetry
import Testing

@Suite struct TrafficTableTests {
    static func labels(_ service: String, _ reporter: Reporter = .source) -> TrafficLabels {
        var labels = TrafficLabels(reporter: reporter)
        labels.source.workload = "client"
        labels.destinationService = service
        return labels
    }

    @Test func labelsStandInIstiosOrder() {
        var names: [String] = []
        var values: [String] = []
        Self.labels("web").forEach(flag: .deny) {
            names.append($0)
            values.append($1)
        }
        #expect(
            names == [
                "reporter", "source_workload", "source_canonical_service", "source_canonical_revision",
                "source_workload_namespace", "source_principal", "source_app", "source_version", "source_cluster",
                "destination_service", "destination_service_namespace", "destination_service_name",
                "destination_workload", "destination_canonical_service", "destination_canonical_revision",
                "destination_workload_namespace", "destination_principal", "destination_app", "destination_version",
                "destination_cluster", "request_protocol", "response_flags", "connection_security_policy",
                "source_region", "source_zone", "destination_region", "destination_zone",
            ])
        #expect(values[0] == "source" && values[1] == "client" && values[2] == "unknown" && values[9] == "web")
        #expect(values[20] == "tcp" && values[21] == "DENY" && values[22] == "unknown")
        var count = 0
        TrafficLabels(reporter: .source).forEach(flag: .none) { _, _ in count += 1 }
        #expect(count == 23)
    }

    @Test func countsAndMerges() {
        let first = TrafficTable()
        let a = first.series(for: Self.labels("web"))
        #expect(first.series(for: Self.labels("web")) == a)
        first.opened(a)
        first.opened(a)
        first.received(100, a)
        first.sent(7, a)
        first.closed(a)
        first.refused(.policyDenied, .inbound)
        let second = TrafficTable()
        let other = second.series(for: Self.labels("db"))
        second.opened(other)
        let b = second.series(for: Self.labels("web"))
        second.opened(b)
        second.closed(b, flag: .deny)
        second.received(11, b)
        second.refused(.policyDenied, .inbound)
        second.refused(.podRemoved, .outbound)
        let all = TrafficSnapshot(merging: [first.snapshot(), second.snapshot()])
        #expect(all.labels.count == 2 && all.counters.count == 2)
        #expect((all.opened, all.closed, all.failed) == (4, 2, 1))
        #expect((all.receivedBytes, all.sentBytes) == (111, 7))
        #expect(all.open(.source) == 2 && all.open(.destination) == 0)
        #expect(all.refusals[.init(reason: .policyDenied, direction: .inbound)] == 2)
        #expect(all.refusals[.init(reason: .podRemoved, direction: .outbound)] == 1)
        #expect(all.refusals.count == 2)
    }

    @Test func snapshotIsACopy() {
        let table = TrafficTable()
        let index = table.series(for: Self.labels("web"))
        let before = table.snapshot()
        table.opened(index)
        #expect(before.opened == 0)
        #expect(table.snapshot().opened == 1)
    }

    @Test func inventedNamesDoNotGrowTheTable() {
        let table = TrafficTable(limit: 8)
        for number in 0..<10_000 {
            let index = table.series(for: Self.labels("host-\(number)", number % 2 == 0 ? .source : .destination))
            table.opened(index)
            table.closed(index)
        }
        let snapshot = table.snapshot()
        #expect(snapshot.labels.count == 10)
        #expect(snapshot.opened == 10_000)
        let overflow = zip(snapshot.labels, snapshot.counters).filter { $0.0.destinationService == "overflow" }
        #expect(overflow.map(\.1.opened).reduce(0, +) == 9992)
    }

    @Test(arguments: [
        (Reason.policyDenied, ResponseFlag.deny), (.tlsFailed, .tlsFailure), (.http2Failed, .http2HandshakeFailure),
        (.tunnelPortBlocked, .networkPolicy), (.certificateUnavailable, .identityError),
        (.certificateRevoked, .certificateRevoked), (.noHealthyUpstream, .connect), (.tunnelRefused, .connect),
    ])
    func reasonsHaveIstiosFlags(reason: Reason, flag: ResponseFlag) {
        #expect(ResponseFlag(reason) == flag)
    }
}
