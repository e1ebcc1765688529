/// The counters of one label set; plain numbers, so that copying a table of them is one memory copy.
package struct TrafficCounters: Sendable {
    package var opened: UInt64 = 0
    /// Closed connections by the position of their flag in `ResponseFlag.allCases`; those with a flag have failed.
    var closed: [8 of UInt64] = .init(repeating: 0)
    /// Bytes from client to server.
    package var receivedBytes: UInt64 = 0
    /// Bytes from server to client.
    package var sentBytes: UInt64 = 0

    /// Connections that closed with this flag.
    package func closed(_ flag: ResponseFlag) -> UInt64 { closed[flag.position] }

    /// All closed connections.
    package var closedTotal: UInt64 {
        var sum: UInt64 = 0
        for position in closed.indices { sum &+= closed[position] }
        return sum
    }

    mutating func add(_ other: TrafficCounters) {
        opened &+= other.opened
        receivedBytes &+= other.receivedBytes
        sentBytes &+= other.sentBytes
        for position in closed.indices { closed[position] &+= other.closed[position] }
    }
}
