/// Hands out explicit source ports for dials that keep the client's address; one value per pod and worker.
///
/// Such a dial and the client's own connection live in one network namespace. Were the kernel to choose the port, it could
/// choose one that the client uses towards the same application, and the dial would run into that connection (measured: 17
/// of 124 dials stalled). So the ports lie outside the range from which clients take theirs, and workers share none.
package struct SourcePortAllocator: Sendable, Hashable {
    /// The ports of this worker.
    package let ports: ClosedRange<UInt16>
    private var next: UInt16

    /// All ports that dials may use when clients have the usual ephemeral range.
    package static let all: ClosedRange<UInt16> = 15100...32099

    /// The share of one of `workers` workers; `ephemeral` is the range from which programs' own ports come.
    ///
    /// Should that range leave fewer than 1,000 ports, all are used: a clash is then possible, but rare and never certain.
    /// - Precondition: `worker` is in `0..<workers`, and there are at most 1,000 workers.
    package init(worker: Int, of workers: Int, ephemeral: ClosedRange<UInt16>) {
        precondition(workers >= 1 && workers <= 1000 && worker >= 0 && worker < workers)
        let usable = Self.usable(beside: ephemeral)
        let share = usable.count / workers
        let first = usable.lowerBound + UInt16(worker * share)
        ports = first...(first + UInt16(share - 1))
        next = first
    }

    /// The next port, in turn.
    package mutating func take() -> UInt16 {
        let port = next
        next = port == ports.upperBound ? ports.lowerBound : port + 1
        return port
    }

    /// The larger part of ``all`` that the range leaves free.
    static func usable(beside ephemeral: ClosedRange<UInt16>) -> ClosedRange<UInt16> {
        guard ephemeral.overlaps(all) else { return all }
        let below = Int(ephemeral.lowerBound) - Int(all.lowerBound)
        let above = Int(all.upperBound) - Int(ephemeral.upperBound)
        guard max(below, above) >= 1000 else { return all }
        return below >= above
            ? all.lowerBound...(ephemeral.lowerBound - 1) : (ephemeral.upperBound + 1)...all.upperBound
    }
}
