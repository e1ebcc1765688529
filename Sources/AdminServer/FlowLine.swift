internal import MeshModel
internal import StatusModel
internal import Telemetry

/// One flow as a line of JSON; docs/cli.md has its keys.
enum FlowLine {
    /// Appends the line with its end.
    static func write(_ flow: FlowRecord, into bytes: inout [UInt8]) {
        document(flow).writeLine(into: &bytes)
        bytes.append(10)
    }

    /// Says that flows were overwritten before this reader came for them.
    static func write(lost count: UInt64, into bytes: inout [UInt8]) {
        JSONValue.object([.init("lost", .number(Int64(clamping: count)))]).writeLine(into: &bytes)
        bytes.append(10)
    }

    static func document(_ flow: FlowRecord) -> JSONValue {
        .object([
            "time": .string("\(StatusTime(unixNanoseconds: flow.time))"),
            "unixMicroseconds": .number(Int64(clamping: flow.time / 1000)),
            "state": .string(flow.isOpen ? "open" : "closed"),
            "verdict": .string(flow.verdict.rawValue),
            "reason": flow.reason.map { .string($0.rawValue) },
            "policy": .string(flow.policy),
            "detail": .string(flow.detail),
            "direction": .string(flow.direction.rawValue),
            "node": .string(flow.direction == .outbound ? "source" : "destination"),
            "protocol": .string(flow.transport.rawValue),
            "pod": .string(flow.pod),
            "source": party(flow.source, flow.sourceWorkload, flow.sourceIdentity),
            "destination": party(flow.destination, flow.destinationWorkload, flow.destinationIdentity),
            "target": .string(flow.target),
            "port": .number(Int64(flow.port)),
            "service": flow.service.map { .string($0.fields.hostname) },
            "waypoint": flow.waypoint.map { .string("\($0)") },
            "bytesToDestination": .number(Int64(clamping: flow.bytesSent)),
            "bytesToSource": .number(Int64(clamping: flow.bytesReceived)),
            "durationMicroseconds": .number(Int64(clamping: flow.duration / 1000)),
            "stagesMicroseconds": stages(flow.timing),
            "legs": flow.legs.map { legs in
                .object(["downstream": legs.downstream.map(leg), "upstream": legs.upstream.map(leg)])
            },
        ])
    }

    private static func party(_ address: SocketAddress, _ workload: Workload?, _ identity: SpiffeID?) -> JSONValue {
        .object([
            "address": .string("\(address)"),
            "workload": .string(workload.map { "\($0)" } ?? ""),
            "identity": .string(identity.map { "\($0)" } ?? ""),
        ])
    }

    private static func stages(_ timing: FlowTiming) -> JSONValue {
        .object(
            FlowStage.allCases.compactMap { stage in
                timing[stage].map { .init(stage.rawValue, .number(Int64(clamping: $0 / 1000))) }
            })
    }

    private static func leg(_ leg: LegFigures) -> JSONValue {
        .object([
            .init("roundTripMicroseconds", .number(Int64(leg.roundTripMicroseconds))),
            .init("roundTripVarianceMicroseconds", .number(Int64(leg.roundTripVarianceMicroseconds))),
            .init("shortestRoundTripMicroseconds", .number(Int64(leg.shortestRoundTripMicroseconds))),
            .init("retransmits", .number(Int64(leg.retransmits))),
            .init("deliveryBytesPerSecond", .number(Int64(clamping: leg.deliveryRate))),
        ])
    }
}
