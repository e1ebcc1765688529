import EventLoop
import Glibc
import HBONE
import TLS

/// What idle tunnels hold, each with one connection of its own, both ends in this process.
enum TunnelMemory {
    /// Opens that many and prints a JSON line: KiB each, both ends together, in use on the heap and resident.
    static func run(tunnels: Int, records: TLSRecords) throws {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(7), &limit)
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(7), &limit)
        let crowd = try TunnelCrowd(records: records)
        // What is made once is not the tunnels'.
        try crowd.grow(by: 16)
        Kernel.returnFreeMemory()
        let (heap, resident) = (Kernel.heapInUse(), Kernel.residentMemory() ?? 0)
        try crowd.grow(by: tunnels)
        Kernel.returnFreeMemory()
        let used = Double(Kernel.heapInUse() - heap) / 1024 / Double(tunnels)
        let grown = (Double(Kernel.residentMemory() ?? 0) - Double(resident)) / 1024 / Double(tunnels)
        func tenths(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }
        let figures = "\"heap_kib\": \(tenths(used)), \"resident_kib\": \(tenths(grown))"
        print("{\"tunnels\": \(tunnels), \"records\": \"\(records.rawValue)\", \(figures)}")
    }
}

/// Tunnels that are open and idle.
private final class TunnelCrowd {
    private let ends: TunnelEnds
    private var pairs: [(client: ClientSide, server: ServerSide)] = []

    init(records: TLSRecords) throws {
        ends = try TunnelEnds(streamsPerConnection: 0, records: records)
    }

    func grow(by count: Int) throws {
        for _ in 0..<count {
            let client = try ClientSide(ends)
            var server: ServerSide?
            while server == nil || !client.isOpen {
                ends.loop.turn(wait: true)
                if server == nil { server = ends.takeArrived() }
                if client.isOver { throw BenchFailure("no tunnel: \(client.failure?.description ?? "refused")") }
            }
            if let server { pairs.append((client, server)) }
        }
    }
}
