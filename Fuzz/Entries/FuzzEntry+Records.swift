internal import TLS

extension FuzzEntry {
    /// The first byte says how the rest is cut into reads (low seven bits, 0: not at all) and, with its high bit, that the rest is
    /// not ciphertext but what a peer with the keys seals: a type, a length of two bytes, the content, again and again.
    static func runRecords(_ bytes: UnsafeRawBufferPointer) {
        guard let mode = bytes.first, let ours = secret(1), let theirs = secret(2) else { return }
        let channel = TLSChannel()
        guard let layer = RecordLayer(.aes128GCM, sealing: ours, opening: theirs, channel: channel) else { return }
        var input = Array(bytes.dropFirst())
        if mode & 0x80 != 0 { input = sealed(input) }
        let piece = mode & 0x7f == 0 ? max(1, input.count) : Int(mode & 0x7f)
        let room = 20_000
        let plain = UnsafeMutableRawPointer.allocate(byteCount: room, alignment: 16)
        defer { plain.deallocate() }
        var read = 0
        var end = 0
        for start in stride(from: 0, to: input.count, by: piece) where end >= 0 {
            let count = min(piece, input.count - start)
            input.withUnsafeBytes { raw in
                guard let base = raw.baseAddress else { return }
                channel.setInput(base + start, count: count)
                repeat {
                    end = layer.read(into: plain, capacity: room)
                    promise(end <= 16_384, "\(end) bytes of one record")
                    if end > 0 { read += end }
                } while end > 0
                promise(end != 0 || channel.inputCount == 0, "\(channel.inputCount) bytes are left and more is wanted")
            }
        }
        promise(read <= input.count, "\(read) bytes out of \(input.count)")
        promise((end == -2) == (layer.failure != nil), "the end is \(end), the failure \(layer.failure != nil)")
        promise(channel.outputCount <= 32 + 2 * input.count, "\(channel.outputCount) bytes answer \(input.count)")
        guard end == -2 else { return }
        var one: UInt8 = 0
        promise(!layer.write(&one, count: 1), "a failed session takes bytes")
    }

    private static func secret(_ seed: UInt8) -> TrafficSecret? {
        [UInt8](repeating: 0x30 + seed, count: 64).withUnsafeBufferPointer { TrafficSecret(hexadecimal: $0) }
    }

    private static func sealed(_ script: [UInt8]) -> [UInt8] {
        guard let theirs = secret(2), var keys = RecordProtection(.aes128GCM, secret: theirs, seals: true) else {
            return []
        }
        let out = UnsafeMutablePointer<UInt8>.allocate(capacity: 70_000)
        defer { out.deallocate() }
        var result: [UInt8] = []
        var at = 0
        while at + 3 <= script.count {
            let type = script[at]
            let count = min(Int(script[at + 1]) << 8 | Int(script[at + 2]), script.count - at - 3)
            let isSealed = script.withUnsafeBytes { raw in
                keys.seal(type, raw.baseAddress.map { $0 + at + 3 }, count: count, into: out)
            }
            guard isSealed else { return result }
            let length = RecordProtection.headerLength + count + RecordProtection.overhead
            result += UnsafeBufferPointer(start: out, count: length)
            at += 3 + count
            // Who announces new keys has them from the next record on.
            if type == 22, count == 5, script[at - 5] == 24, !keys.update() { return result }
        }
        return result
    }
}
