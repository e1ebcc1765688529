internal import Glibc

/// Builds message heads and chunk frames in one reusable buffer: fill, hand ``withBytes(_:)`` to the connection, ``clear()``.
///
/// It adds what it is told and no more; the caller answers for the order: start line, fields, ``endHead()``. One writer
/// serves all connections of a worker.
package final class HTTP1MessageWriter {
    // Plain memory and not an array: a head is some twenty short copies, and an array's checks cost more than they.
    private var bytes: UnsafeMutablePointer<UInt8>
    private var capacity = 4096
    package private(set) var count = 0

    package init() {
        bytes = .allocate(capacity: capacity)
    }

    deinit {
        bytes.deallocate()
    }

    /// Empties the buffer and keeps its memory, as long as that is not much.
    package func clear() {
        count = 0
        guard capacity > 1 << 18 else { return }
        bytes.deallocate()
        capacity = 4096
        bytes = .allocate(capacity: capacity)
    }

    /// Runs the body with what was written; the pointer ends with the body.
    package func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        body(UnsafeRawBufferPointer(start: bytes, count: count))
    }

    /// Room for so many more bytes; the caller fills all of it.
    private func extend(_ more: Int) -> UnsafeMutablePointer<UInt8> {
        if capacity - count < more {
            capacity = (count + more) * 2
            let fresh = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity)
            fresh.update(from: bytes, count: count)
            bytes.deallocate()
            bytes = fresh
        }
        defer { count += more }
        return bytes + count
    }

    /// Writes bytes as they are.
    package func write(_ text: StaticString) {
        memcpy(extend(text.utf8CodeUnitCount), text.utf8Start, text.utf8CodeUnitCount)
    }

    /// Writes text as it is; the caller has made sure that it holds no line end.
    package func write(_ text: String) {
        var text = text
        text.withUTF8 { write(UnsafeRawBufferPointer($0)) }
    }

    package func write(_ source: UnsafeRawBufferPointer) {
        guard let start = source.baseAddress else { return }
        memcpy(extend(source.count), start, source.count)
    }

    package func write(decimal value: UInt64) {
        write(value, radix: 10)
    }

    private func write(_ value: UInt64, radix: UInt64) {
        var digits = 1
        var rest = value / radix
        while rest > 0 {
            rest /= radix
            digits += 1
        }
        let target = extend(digits)
        rest = value
        for at in stride(from: digits - 1, through: 0, by: -1) {
            let digit = UInt8(truncatingIfNeeded: rest % radix)
            target[at] = digit < 10 ? 48 + digit : 87 + digit
            rest /= radix
        }
    }

    /// Writes `HTTP/1.1 200 OK` with its line end; the phrase is ours for the statuses we know and empty for others.
    package func writeStatusLine(_ status: UInt16) {
        write("HTTP/1.1 ")
        write(decimal: UInt64(status))
        write(" ")
        write(HTTP1Status.phrase(status))
        write("\r\n")
    }

    /// Writes the status line of a response as the upstream worded it.
    package func writeStatusLine(of head: HTTP1ResponseHead) {
        write("HTTP/1.1 ")
        write(decimal: UInt64(head.status))
        write(" ")
        head.block.withBytes(head.reason) { write($0) }
        write("\r\n")
    }

    /// Writes the request line of a request in origin form: the path, or `/` when the absolute form named none.
    /// - Parameter path: another path than the request's own; visible ASCII.
    package func writeRequestLine(of head: HTTP1RequestHead, path: [UInt8]? = nil) {
        head.block.withBytes(head.methodSlice) { write($0) }
        write(" ")
        if let path {
            path.withUnsafeBytes { write($0) }
        } else if head.path.isEmpty {
            write("/")
        } else {
            head.block.withBytes(head.path) { write($0) }
        }
        write(" HTTP/1.1\r\n")
    }

    package func writeField(_ name: StaticString, _ value: StaticString) {
        write(name)
        write(": ")
        write(value)
        write("\r\n")
    }

    /// Writes a field whose value the caller has made sure holds no line end.
    package func writeField(_ name: StaticString, _ value: String) {
        write(name)
        write(": ")
        write(value)
        write("\r\n")
    }

    package func writeField(_ name: StaticString, decimal value: UInt64) {
        write(name)
        write(": ")
        write(decimal: value)
        write("\r\n")
    }

    /// Writes the fields of a head in their order, without those of the given kinds; names are in lower case, the rest of a
    /// line is as it came. Neighbouring lines that stay are copied in one piece.
    package func writeFields(of block: HTTP1FieldBlock, except dropped: HTTP1FieldSet) {
        block.bytes.withUnsafeBytes { source in
            let fields = block.fields
            // The empty line is not copied.
            let end = source.count - 2
            var at = 0
            while at < fields.count {
                while at < fields.count, dropped.contains(fields[at].kind) { at += 1 }
                guard at < fields.count else { return }
                let start = Int(fields[at].name.start)
                while at < fields.count, !dropped.contains(fields[at].kind) { at += 1 }
                let stop = at < fields.count ? Int(fields[at].name.start) : end
                write(UnsafeRawBufferPointer(rebasing: source[start..<stop]))
            }
        }
    }

    /// Writes the field that frames the body; nothing for a body that is absent or runs until the close.
    package func writeFraming(_ framing: HTTP1Framing) {
        switch framing {
        case .none, .untilClose: break
        case .length(let length): writeField("content-length", decimal: length)
        case .chunked: write("transfer-encoding: chunked\r\n")
        }
    }

    package func endHead() {
        write("\r\n")
    }

    /// Writes what stands before the data of one chunk; `write("\r\n")` follows the data. The size must not be 0.
    package func writeChunkHead(size: Int) {
        write(UInt64(size), radix: 16)
        write("\r\n")
    }

    /// Writes the empty chunk that ends a body.
    package func writeLastChunk() {
        write("0\r\n\r\n")
    }
}
