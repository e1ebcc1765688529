/// A stopwatch with laps: where the time of one connection went. Times are monotonic nanoseconds.
///
/// It stands still unless somebody observes: then every call returns at once and nobody reads a clock. Stages may be passed
/// more than once (another endpoint is tried); their times add up.
package struct FlowTiming: Sendable {
    private static let absent = UInt64.max

    private var laps = InlineArray<8, UInt64>(repeating: FlowTiming.absent)
    private var mark: UInt64 = 0

    /// A stopwatch that stands still.
    package init() {}

    /// - Parameters:
    ///   - accepted: when the proxy accepted the connection.
    ///   - age: how long it had stood at `now`; 0 when that is not known.
    package init(accepted: UInt64, age: UInt64, now: UInt64) {
        mark = max(1, accepted)
        guard age > 0 else { return }
        let sinceAccept = now > accepted ? now - accepted : 0
        laps[Self.index(.capture)] = age > sinceAccept ? age - sinceAccept : 0
    }

    /// Whether somebody observes this connection.
    package var isRunning: Bool { mark != 0 }

    /// How long a stage took, nanoseconds; nil where it does not apply.
    package subscript(stage: FlowStage) -> UInt64? {
        let lap = laps[Self.index(stage)]
        return lap == Self.absent ? nil : lap
    }

    /// The time since the last milestone was this stage's.
    package mutating func pass(_ stage: FlowStage, at now: UInt64) {
        guard isRunning else { return }
        add(stage, now > mark ? now - mark : 0)
        mark = max(mark, now)
    }

    /// A tunnel is there: the time since the last milestone was its connect's and its handshake's as far as they fell into it,
    /// and the pool's for the rest.
    package mutating func passTunnel(_ tunnel: TunnelMilestones, at now: UInt64) {
        guard isRunning else { return }
        let begin = mark
        let connect = Self.overlap(begin, now, tunnel.dialled, tunnel.connected)
        let tls = Self.overlap(begin, now, tunnel.connected, tunnel.secured)
        if tunnel.connected > begin { add(.connect, connect) }
        if tunnel.secured > begin { add(.tls, tls) }
        add(.pool, (now > begin ? now - begin : 0) - connect - tls)
        mark = max(mark, now)
    }

    /// The connection is over; its first bytes, 0 for one that never came.
    package mutating func passFirstBytes(request: UInt64, answer: UInt64) {
        guard isRunning else { return }
        if request != 0, answer == 0 || request <= answer { pass(.request, at: request) }
        if answer != 0 { pass(.firstByte, at: answer) }
    }

    private mutating func add(_ stage: FlowStage, _ time: UInt64) {
        let index = Self.index(stage)
        laps[index] = laps[index] == Self.absent ? time : laps[index] &+ time
    }

    private static func overlap(_ a: UInt64, _ b: UInt64, _ from: UInt64, _ to: UInt64) -> UInt64 {
        let (start, end) = (max(a, from), min(b, to))
        return from != 0 && end > start ? end - start : 0
    }

    private static func index(_ stage: FlowStage) -> Int {
        switch stage {
        case .capture: 0
        case .decision: 1
        case .pool: 2
        case .connect: 3
        case .tls: 4
        case .answer: 5
        case .request: 6
        case .firstByte: 7
        }
    }
}
