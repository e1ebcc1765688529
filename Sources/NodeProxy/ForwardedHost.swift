internal import HTTP2
internal import MeshModel

/// The service that a peer says its client called: `host=` of the `forwarded` header (RFC 7239). For telemetry alone.
package enum ForwardedHost {
    /// The service of that name, believed only where the workload is one of its endpoints.
    static func service(_ head: HeaderBlock, endpoint workload: Workload, in snapshot: MeshSnapshot) -> Service? {
        guard let field = head.first("forwarded"), field.count <= Limits.standard.forwardedBytes,
            let host = name(in: field),
            let service = snapshot.service(host: host, visibleTo: workload.fields.namespace),
            workload.fields.services[service.serviceName] != nil
        else { return nil }
        return service
    }

    /// The value of the first `host` parameter, without quotes; nil when there is none.
    package static func name(in field: ArraySlice<UInt8>) -> String? {
        field.withUnsafeBufferPointer { field in
            var start = 0
            while start < field.count {
                var end = start
                while end < field.count, field[end] != UInt8(ascii: ";"), field[end] != UInt8(ascii: ",") { end += 1 }
                if let value = host(in: field, from: start, to: end) { return value.isEmpty ? nil : value }
                start = end + 1
            }
            return nil
        }
    }

    /// The value of a parameter if it is a `host` with one.
    private static func host(in field: UnsafeBufferPointer<UInt8>, from start: Int, to end: Int) -> String? {
        var start = start
        while start < end, field[start] == UInt8(ascii: " ") { start += 1 }
        let name: StaticString = "host="
        guard end - start > name.utf8CodeUnitCount else { return nil }
        for i in 0..<name.utf8CodeUnitCount where field[start + i] != name.utf8Start[i] { return nil }
        start += name.utf8CodeUnitCount
        let isQuoted = end - start >= 2 && field[start] == UInt8(ascii: "\"") && field[end - 1] == UInt8(ascii: "\"")
        let value = isQuoted ? field[(start + 1)..<(end - 1)] : field[start..<end]
        return String(decoding: value, as: UTF8.self)
    }
}
