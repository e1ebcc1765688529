internal import MeshModel
internal import StatusModel
internal import Telemetry

extension ConfigDump {
    /// What the program is, in the words of ztunnel's build.
    var versionDocument: JSONValue {
        .object([
            .init("version", .string(version)), .init("gitRevision", .string("")), .init("rustVersion", .string("")),
            .init("buildProfile", .string("release")), .init("buildStatus", .string("")),
            .init("istioVersion", .string("unknown")), .init("cryptoProvider", .string("openssl")),
        ])
    }

    /// The pods of this node with their live connections, by network namespace.
    var states: [JSONValue.Member] {
        var byPod: [String: [LiveConnection]] = [:]
        for connection in connections { byPod[connection.pod, default: []].append(connection) }
        return pods.map { pod in
            .init(pod.netns, Self.state(of: pod, byPod["\(pod.namespace)/\(pod.name)"] ?? []))
        }
    }

    /// Endpoints whose service is not known yet.
    func staged(_ workloads: [Workload]) -> [JSONValue.Member] {
        var staged: [String: [JSONValue.Member]] = [:]
        for workload in workloads {
            for (name, ports) in workload.fields.services where snapshot.service(name) == nil {
                staged["\(name)", default: []].append(
                    .init(
                        workload.fields.uid,
                        .object([
                            .init("workloadUid", .string(workload.fields.uid)), .init("port", Self.ports(ports)),
                            .init("status", .string(workload.fields.health.rawValue)),
                        ])))
            }
        }
        return staged.sorted { $0.key < $1.key }.map { .init($0.key, .object($0.value)) }
    }

    static func certificate(_ certificate: HeldCertificate) -> JSONValue {
        let status = certificate.status
        let state =
            switch status.state {
            case .available, .initializing: status.state.rawValue
            case .unavailable: "\(status.state.rawValue): \(status.error)"
            // ztunnel has no such state; the tools show what they do not know as not available.
            case .expired: "Unavailable: expired\(status.error.isEmpty ? "" : ": \(status.error)")"
            }
        return .object([
            .init("identity", .string(status.identity)), .init("state", .string(state)),
            .init("certChain", .array(certificate.chain.map(part))),
            .init("rootCerts", .array(certificate.roots.map(part))),
        ])
    }

    /// One certificate; `pem` is the Base64 of the PEM text, as the tools expect it.
    private static func part(_ part: HeldCertificate.Part) -> JSONValue {
        .object([
            "pem": .string(base64(Array(part.pem.utf8))), "serialNumber": .string(part.serialNumber),
            "validFrom": part.validFrom.map { .string("\($0)") },
            "expirationTime": part.expirationTime.map { .string("\($0)") },
        ])
    }

    private static func state(of pod: PodStatus, _ connections: [LiveConnection]) -> JSONValue {
        let account = SpiffeID(pod.identity)?.serviceAccount ?? ""
        var members: [JSONValue.Member] = [
            .init("state", .string(pod.state.isCaptured ? "Up" : "Pending")),
            .init(
                "info",
                .object([
                    .init("name", .string(pod.name)), .init("namespace", .string(pod.namespace)),
                    .init("serviceAccount", .string(account)),
                ])),
        ]
        if !connections.isEmpty {
            let inbound = connections.filter { $0.direction == .inbound }
            let outbound = connections.filter { $0.direction == .outbound }
            members.append(
                .init(
                    "connections",
                    .object([
                        .init("inbound", .array(inbound.map(Self.inbound))),
                        .init("outbound", .array(outbound.map(Self.outbound))),
                    ])))
        }
        return .object(members)
    }

    private static func inbound(_ connection: LiveConnection) -> JSONValue {
        var members: [JSONValue.Member] = [.init("src", .string("\(connection.source)"))]
        // Of an inbound connection ztunnel shows the called service here, and null where there is none.
        if !connection.service.isEmpty { members.append(.init("originalDst", .string(connection.service))) }
        return .object(
            members + [
                .init("actualDst", .string("\(connection.destination)")),
                .init("protocol", .string(connection.peer == nil ? "TCP" : "HBONE")),
            ])
    }

    private static func outbound(_ connection: LiveConnection) -> JSONValue {
        .object([
            .init("src", .string("\(connection.source)")),
            .init(
                "originalDst",
                .string(connection.target.isEmpty ? "\(connection.destination)" : connection.target)),
            .init("actualDst", .string("\(connection.destination)")),
            .init("protocol", .string(connection.transport.rawValue)),
        ])
    }

    private static func base64(_ bytes: [UInt8]) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let value = group.reduce(0) { $0 << 8 | Int($1) } << (8 * (3 - group.count))
            for digit in 0..<4 {
                text.append(digit <= group.count ? alphabet[value >> (18 - 6 * digit) & 63] : UInt8(ascii: "="))
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
