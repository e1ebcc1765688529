internal import COpenSSL

/// The ciphertext buffers that all TLS sessions of one worker thread use in turn.
///
/// A session reads what ``setInput(_:count:)`` lends and appends what it seals to the output. Whoever calls a session
/// empties the output before another session of the thread runs. 64 KiB of plaintext is the unit of work, so the output
/// holds that with its record overhead and a handshake flight beside it.
package final class TLSChannel {
    /// The plaintext that one `write` may seal, in bytes.
    package static let unit = 65_536
    let raw: UnsafeMutablePointer<zt_channel>
    private let buffer: UnsafeMutableRawPointer

    package init() {
        let capacity = Self.unit + 16_384
        buffer = .allocate(byteCount: capacity, alignment: 64)
        raw = .allocate(capacity: 1)
        raw.initialize(
            to: zt_channel(
                in: nil, in_length: 0, out: buffer.assumingMemoryBound(to: UInt8.self), out_length: 0,
                out_capacity: capacity))
    }

    deinit {
        raw.deallocate()
        buffer.deallocate()
    }

    /// Lends ciphertext to the session that is called next; borrowed until that call returns.
    package func setInput(_ bytes: UnsafeRawPointer, count: Int) {
        raw.pointee.in = bytes.assumingMemoryBound(to: UInt8.self)
        raw.pointee.in_length = count
    }

    /// Ciphertext not yet taken by the session.
    package var inputCount: Int { raw.pointee.in_length }
    /// Where it begins; nil before any was lent.
    var input: UnsafePointer<UInt8>? { raw.pointee.in }

    /// Takes the first `count` bytes of the input, which are there.
    func dropInput(_ count: Int) {
        raw.pointee.in += count
        raw.pointee.in_length -= count
    }

    /// Lets `write` fill the next `count` bytes of the output; false when there is no room, or it says so.
    func append(_ count: Int, _ write: (UnsafeMutablePointer<UInt8>) -> Bool) -> Bool {
        guard count <= raw.pointee.out_capacity - raw.pointee.out_length else { return false }
        guard write(raw.pointee.out + raw.pointee.out_length) else { return false }
        raw.pointee.out_length += count
        return true
    }

    /// The sealed bytes that wait to be sent.
    package var output: UnsafeRawPointer { UnsafeRawPointer(buffer) }
    package var outputCount: Int { raw.pointee.out_length }

    /// Forgets the output: it is sent or kept elsewhere.
    package func clearOutput() {
        raw.pointee.out_length = 0
    }
}
