internal import HTTP2
internal import MeshModel

/// The service that a peer says its client called: `host=` of the `forwarded` header (RFC 7239). For telemetry alone.
package enum ForwardedHost {
    /// The service of that name, believed only where the workload is one of its endpoints.
    static func service(_ head: HeaderBlock, endpoint workload: Workload, in snapshot: MeshSnapshot) -> Service? {
        guard let field = head.first("forwarded"), field.count <= 1024, let host = name(in: field),
            let service = snapshot.service(host: host, visibleTo: workload.fields.namespace),
            workload.fields.services[service.serviceName] != nil
        else { return nil }
        return service
    }

    /// The value of the first `host` parameter, without quotes; nil when there is none.
    package static func name(in field: ArraySlice<UInt8>) -> String? {
        for parameter in field.split(whereSeparator: { $0 == UInt8(ascii: ";") || $0 == UInt8(ascii: ",") }) {
            let parts = parameter.split(separator: UInt8(ascii: "="), maxSplits: 1)
            guard parts.count == 2 else { continue }
            let key = parts[0].drop { $0 == UInt8(ascii: " ") }
            guard key.count == 4, key.elementsEqual("host".utf8) else { continue }
            var value = parts[1]
            if value.count >= 2, value.first == UInt8(ascii: "\""), value.last == UInt8(ascii: "\"") {
                value = value.dropFirst().dropLast()
            }
            return value.isEmpty ? nil : String(decoding: value, as: UTF8.self)
        }
        return nil
    }
}
