/// Builds message heads and chunk frames in one reusable buffer: fill, hand ``withBytes(_:)`` to the connection, ``clear()``.
///
/// It adds what it is told and no more; the caller answers for the order: start line, fields, ``endHead()``. One writer
/// serves all connections of a worker.
package final class HTTP1MessageWriter {
    private var bytes: [UInt8] = []

    package init() {
        bytes.reserveCapacity(4096)
    }

    package var count: Int { bytes.count }

    /// Empties the buffer and keeps its memory.
    package func clear() {
        bytes.removeAll(keepingCapacity: true)
    }

    /// Runs the body with what was written; the pointer ends with the body.
    package func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        bytes.withUnsafeBytes(body)
    }

    /// Writes bytes as they are.
    package func write(_ text: StaticString) {
        bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// Writes text as it is; the caller has made sure that it holds no line end.
    package func write(_ text: String) {
        bytes.append(contentsOf: text.utf8)
    }

    package func write(_ source: UnsafeRawBufferPointer) {
        bytes.append(contentsOf: source)
    }

    package func write(decimal value: UInt64) {
        write(value, radix: 10)
    }

    private func write(_ value: UInt64, radix: UInt64) {
        let start = bytes.count
        var rest = value
        repeat {
            let digit = UInt8(truncatingIfNeeded: rest % radix)
            bytes.append(digit < 10 ? 48 + digit : 87 + digit)
            rest /= radix
        } while rest > 0
        bytes[start...].reverse()
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
            bytes.append(contentsOf: path)
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

    /// Writes the fields of a head in their order, without those of the given kinds; names are in lower case.
    package func writeFields(of block: HTTP1FieldBlock, except dropped: HTTP1FieldSet) {
        block.bytes.withUnsafeBytes { source in
            for field in block.fields where !dropped.contains(field.kind) {
                bytes.append(contentsOf: UnsafeRawBufferPointer(rebasing: source[field.name.range]))
                write(": ")
                bytes.append(contentsOf: UnsafeRawBufferPointer(rebasing: source[field.value.range]))
                write("\r\n")
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
