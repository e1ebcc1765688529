internal import HTTP2
internal import MeshModel
internal import RoutingCore

/// Writes the headers of CONNECT requests and answers as Istio's node proxies and waypoints expect them.
enum TunnelHeaders {
    /// The `baggage` that tells peers about a workload, for telemetry only; empty parts are left out.
    static func baggage(of workload: Workload, clusterID: String) -> String {
        let fields = workload.fields
        let kind = ["deployment", "cronjob", "job"].contains(fields.workloadType) ? fields.workloadType : "pod"
        let pairs = [
            ("k8s.cluster.name", fields.clusterID.isEmpty ? clusterID : fields.clusterID),
            ("k8s.namespace.name", fields.namespace),
            ("k8s.\(kind).name", fields.workloadName.isEmpty ? fields.name : fields.workloadName),
            ("service.name", fields.canonicalName),
            ("service.version", fields.canonicalRevision),
            ("cloud.region", fields.locality.region),
            ("cloud.availability_zone", fields.locality.zone),
        ]
        return pairs.filter { !$0.1.isEmpty }.map { "\($0.0)=\($0.1)" }.joined(separator: ",")
    }

    /// A CONNECT request (RFC 9113 8.5: no scheme, no path).
    static func request(
        authority: String, baggage: String, source: SocketAddress, service: Service?, random: inout RandomDraws
    ) -> HeaderBlock {
        var head = HeaderBlock(capacity: 512)
        head.append(":method", "CONNECT")
        head.append(":authority", authority)
        if !baggage.isEmpty { head.append("baggage", baggage) }
        var forwarded = "for=\""
        forwarded += source.description
        forwarded += "\""
        if let service {
            forwarded += ";host="
            forwarded += service.fields.hostname
        }
        head.append("forwarded", forwarded, isUnique: true)
        appendTraceparent(&random, to: &head)
        return head
    }

    /// The answer to a CONNECT that is taken.
    static func accepted(baggage: String) -> HeaderBlock {
        var head = HeaderBlock(capacity: 256)
        head.append(":status", "200")
        if !baggage.isEmpty { head.append("baggage", baggage) }
        return head
    }

    /// The answer to a CONNECT that is not: a status that peers know, and the reason as `Proxy-Status` (RFC 9209).
    static func refused(status: Int, reason: Reason, policy: String? = nil) -> HeaderBlock {
        var head = HeaderBlock()
        head.append(":status", "\(status)")
        let details = policy.map { "\(reason.rawValue) \($0)" } ?? reason.rawValue
        // Quoted-string of RFC 8941: only printable ASCII, with quote and backslash escaped.
        let safe = details.utf8.filter { $0 >= 0x20 && $0 < 0x7f && $0 != 0x22 && $0 != 0x5c }
        head.append(
            "proxy-status",
            "ztund; error=\(errorToken(of: reason)); details=\"\(String(decoding: safe, as: UTF8.self))\"")
        return head
    }

    private static func errorToken(of reason: Reason) -> String {
        switch reason {
        case .policyDenied, .policyNotAllowed, .policyUnknown, .policyChanged, .networkPolicyDenied:
            "http_request_denied"
        case .connectFailed: "connection_refused"
        case .connectTimeout, .tunnelPortBlocked: "connection_timeout"
        case .destinationMismatch, .serviceUnknown, .servicePortUnknown, .workloadUnknown: "destination_not_found"
        case .methodNotConnect, .authorityInvalid: "http_request_error"
        case .recursiveCall: "proxy_loop_detected"
        case .overLimit, .draining: "connection_limit_reached"
        default: "proxy_internal_error"
        }
    }

    /// W3C Trace Context: `00-TRACE-SPAN-00`, a new trace that is not sampled.
    private static func appendTraceparent(_ random: inout RandomDraws, to head: inout HeaderBlock) {
        let draws = (random.next(), random.next() | 1, random.next() | 1)
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 55) { text in
            text.initialize(repeating: 48)
            text[2] = 45
            text[35] = 45
            text[52] = 45
            hex(draws.0, into: text, at: 3)
            hex(draws.1, into: text, at: 19)
            hex(draws.2, into: text, at: 36)
            let name: StaticString = "traceparent"
            head.append(
                name: UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount),
                bytes: UnsafeBufferPointer(text), isUnique: true)
        }
    }

    private static func hex(_ value: UInt64, into text: UnsafeMutableBufferPointer<UInt8>, at start: Int) {
        var value = value
        for i in 0..<16 {
            let digit = UInt8(truncatingIfNeeded: value & 15)
            text[start + i] = digit < 10 ? 48 + digit : 87 + digit
            value >>= 4
        }
    }
}
