internal import HTTP2

extension FuzzEntry {
    /// The first byte says how the rest is cut into reads (0: not at all) and whether a preface stands before it.
    private struct Script {
        var input: [UInt8]
        let piece: Int

        init(_ bytes: UnsafeRawBufferPointer, preface: [UInt8]) {
            let mode = bytes.first ?? 0
            input = (mode & 0x80 == 0 ? preface : []) + Array(bytes.dropFirst())
            piece = Int(mode & 0x7f)
        }
    }

    static func runServer(_ bytes: UnsafeRawBufferPointer) {
        let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + [0, 0, 0, 4, 0, 0, 0, 0, 0]
        let peer = TunnelServer()
        drive(peer, Script(bytes, preface: preface))
    }

    static func runClient(_ bytes: UnsafeRawBufferPointer) {
        let peer = TunnelClient()
        peer.open(3)
        drive(peer, Script(bytes, preface: [0, 0, 0, 4, 0, 0, 0, 0, 0]))
    }

    /// Plays the connection: reads, writes what is due, ends where the engine says so.
    private static func drive(_ peer: EnginePeer, _ script: Script) {
        let engine = peer.engine
        let buffer = UnsafeMutableRawPointer.allocate(byteCount: 65_536, alignment: 16)
        defer { buffer.deallocate() }
        var now: UInt64 = 1_000_000_000
        var produced = 0
        var at = 0
        func produce() {
            // What is sent to a peer that asks nothing is bounded, so the loop ends by itself.
            while true {
                let count = engine.produce(into: buffer, capacity: 65_536)
                promise(count <= 65_536, "wrote \(count) bytes into 65536")
                if count == 0 { return }
                produced += count
            }
        }
        produce()
        while at < script.input.count {
            let count = script.piece == 0 ? script.input.count - at : min(script.piece, script.input.count - at)
            let isAlive = script.input.withUnsafeBytes { bytes in
                // The base address of bytes that are not empty.
                engine.receive(bytes.baseAddress.unsafelyUnwrapped + at, count: count, now: now)
            }
            promise(isAlive == (engine.failure == nil), "alive and failed")
            at += count
            now += 1_000_000
            produce()
            if !isAlive || engine.isFinished { break }
        }
        promise(peer.open.count <= 100, "\(peer.open.count) streams are open")
        promise(
            produced <= 4096 + 64 * script.input.count + 2 * peer.given,
            "\(produced) bytes answer \(script.input.count)")
        if engine.failure != nil {
            promise(
                !script.input.withUnsafeBytes { engine.receive($0.baseAddress.unsafelyUnwrapped, count: 1, now: now) }
                    || script.input.isEmpty, "a failed connection takes bytes")
        }
    }
}
