@testable import HTTP2

/// A server engine that is fed bytes as they are, and what it says to them.
final class RawPeer {
    let delegate = RecordingDelegate()
    let engine: HTTP2Engine
    private let now: UInt64 = 1_000_000_000

    init(limits: HTTP2Limits = HTTP2Limits()) {
        engine = HTTP2Engine(.server, delegate: delegate, limits: limits, now: now)
        delegate.engine = engine
        delegate.respondsAtOnce = false
    }

    /// False when the connection is to end.
    @discardableResult func send(_ bytes: [UInt8], piece: Int = .max) -> Bool {
        var at = 0
        while at < bytes.count {
            let count = min(piece, bytes.count - at)
            let isAlive = bytes.withUnsafeBytes {
                engine.receive($0.baseAddress.unsafelyUnwrapped + at, count: count, now: now)
            }
            if !isAlive { return false }
            at += count
        }
        return true
    }

    /// The frames that wait to be sent, as type and payload.
    func drain() -> [(type: UInt8, payload: [UInt8])] {
        var bytes: [UInt8] = []
        withUnsafeTemporaryAllocation(byteCount: 65_536, alignment: 16) { buffer in
            guard let start = buffer.baseAddress else { return }
            while true {
                let count = engine.produce(into: start, capacity: buffer.count)
                if count == 0 { return }
                bytes += UnsafeRawBufferPointer(start: start, count: count)
            }
        }
        var frames: [(type: UInt8, payload: [UInt8])] = []
        var at = 0
        while bytes.count - at >= 9 {
            let length = Int(bytes[at]) << 16 | Int(bytes[at + 1]) << 8 | Int(bytes[at + 2])
            frames.append((bytes[at + 3], Array(bytes[(at + 9)..<(at + 9 + length)])))
            at += 9 + length
        }
        return frames
    }

    /// The error codes of the GOAWAY frames among them.
    func goAwayCodes() -> [UInt32] {
        drain().filter { $0.type == 7 }.map { $0.payload[4..<8].reduce(0) { $0 << 8 | UInt32($1) } }
    }
}
