import EventLoop
import Glibc
import HBONE
import TLS

/// Operations of the tunnel, both ends of it together.
final class TunnelCase: BenchCase {
    private enum Kind {
        /// A small request and its answer, on each of so many open connections.
        case requests(connections: Int)
        /// A connection: CONNECT, one request, both ends closed. On a pooled tunnel, or each with its own handshake.
        case streams(connectionsPerTunnel: Int)
        /// A mebibyte, towards the server or back.
        case bulk(up: Bool)
    }

    static let entries = [
        BenchEntry(name: "request", operation: "request and answer, one connection", counted: 300) {
            try TunnelCase(.requests(connections: 1))
        },
        BenchEntry(name: "request-64", operation: "request and answer, 64 connections at once", counted: 1280) {
            try TunnelCase(.requests(connections: 64))
        },
        BenchEntry(name: "stream", operation: "new connection on a pooled tunnel, with a request", counted: 200) {
            try TunnelCase(.streams(connectionsPerTunnel: 100))
        },
        BenchEntry(name: "handshake", operation: "new connection with a TLS handshake of its own", counted: 8) {
            try TunnelCase(.streams(connectionsPerTunnel: 0))
        },
        BenchEntry(name: "up-mib", operation: "MiB from client to server", counted: 12) {
            try TunnelCase(.bulk(up: true))
        },
        BenchEntry(name: "down-mib", operation: "MiB from server to client", counted: 12) {
            try TunnelCase(.bulk(up: false))
        },
    ]

    /// The same with our record layer at both ends.
    static let ownEntries = [
        BenchEntry(name: "request-own", operation: "as request, with own TLS records", counted: 300) {
            try TunnelCase(.requests(connections: 1), records: .own)
        },
        BenchEntry(name: "stream-own", operation: "as stream, with own TLS records", counted: 200) {
            try TunnelCase(.streams(connectionsPerTunnel: 100), records: .own)
        },
        BenchEntry(name: "request-64-own", operation: "as request-64, with own TLS records", counted: 1280) {
            try TunnelCase(.requests(connections: 64), records: .own)
        },
        BenchEntry(name: "up-mib-own", operation: "as up-mib, with own TLS records", counted: 12) {
            try TunnelCase(.bulk(up: true), records: .own)
        },
    ]

    private let kind: Kind
    private let ends: TunnelEnds
    private var pairs: [(client: ClientSide, server: ServerSide)] = []
    private let buffer = UnsafeMutableRawPointer.allocate(byteCount: 1 << 20, alignment: 64)
    private static let requestSize = 120
    private static let answerSize = 220
    /// Fits into one unit of work of the tunnel, frames included.
    private static let batch = 61_440

    private init(_ kind: Kind, records: TLSRecords = .libssl) throws {
        self.kind = kind
        buffer.initializeMemory(as: UInt8.self, repeating: 0x78, count: 1 << 20)
        switch kind {
        case .requests(let connections):
            ends = try TunnelEnds(records: records)
            for _ in 0..<connections { pairs.append(try connect()) }
        case .streams(let connectionsPerTunnel):
            ends = try TunnelEnds(streamsPerConnection: connectionsPerTunnel, records: records)
        case .bulk:
            ends = try TunnelEnds(records: records)
            pairs = [try connect()]
        }
    }

    deinit { buffer.deallocate() }

    func run(_ operations: Int) {
        switch kind {
        case .requests(let connections):
            for _ in 0..<operations / connections + (operations % connections > 0 ? 1 : 0) { exchange() }
        case .streams:
            for _ in 0..<operations { connectOnce() }
        case .bulk(let up):
            for _ in 0..<operations { carry(up: up) }
        }
    }

    private func turn(until condition: () -> Bool) {
        var turns = 0
        while !condition() {
            ends.loop.turn(wait: true)
            turns += 1
            // Something is broken; a hang would not say so.
            guard turns < 100_000 else { fatalError("ztun-bench: nothing happens any more") }
        }
    }

    private func connect() throws -> (client: ClientSide, server: ServerSide) {
        let client = try ClientSide(ends)
        var server: ServerSide?
        turn {
            if server == nil { server = ends.takeArrived() }
            return client.isOpen && server != nil || client.isOver
        }
        guard let server, client.isOpen else {
            throw BenchFailure("no tunnel: \(client.failure?.description ?? "refused")")
        }
        return (client, server)
    }

    private func receive(_ socket: ApplicationSocket?, _ count: Int) {
        guard let socket else { fatalError("ztun-bench: a connection ended early") }
        var missing = count
        while true {
            guard let got = socket.read(buffer, missing) else { fatalError("ztun-bench: a connection ended early") }
            missing -= got
            if missing == 0 { return }
            ends.loop.turn(wait: true)
        }
    }

    private func exchange() {
        for pair in pairs { consume(pair.client.application?.write(buffer, Self.requestSize)) }
        for pair in pairs { receive(pair.server.application, Self.requestSize) }
        for pair in pairs { consume(pair.server.application?.write(buffer, Self.answerSize)) }
        for pair in pairs { receive(pair.client.application, Self.answerSize) }
    }

    private func connectOnce() {
        guard let pair = try? connect() else { fatalError("ztun-bench: a connection was refused") }
        pairs = [pair]
        exchange()
        pairs = []
        pair.client.application?.shutdownWrite()
        pair.server.application?.shutdownWrite()
        turn { pair.client.isOver && pair.server.isOver }
        if case .streams(let connectionsPerTunnel) = kind, connectionsPerTunnel == 0 {
            turn { ends.servedCount == 0 }
        }
    }

    private func carry(up: Bool) {
        let pair = pairs[0]
        guard let source = up ? pair.client.application : pair.server.application,
            let sink = up ? pair.server.application : pair.client.application
        else { fatalError("ztun-bench: a connection ended early") }
        // One batch at a time: how much the kernel takes in one go would depend on its timers.
        var rest = 1 << 20
        while rest > 0 {
            let piece = min(rest, Self.batch)
            guard source.write(buffer, piece) == piece else { fatalError("ztun-bench: the socket took half a batch") }
            receive(sink, piece)
            rest -= piece
        }
    }
}
