internal import ControlPlane
internal import MeshModel
internal import TLS

extension FuzzEntry {
    static func runCertificate(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count <= 16_384 else { return }
        let pem =
            Array("-----BEGIN CERTIFICATE-----\n".utf8) + base64(bytes) + Array("-----END CERTIFICATE-----\n".utf8)
        guard let chain = try? Certificate.chain(pem: pem, source: "a peer") else { return }
        let identities = (try? PeerIdentity.read(pem: pem, source: "a peer")) ?? []
        promise(
            identities.count == chain.count, "one reader sees \(identities.count) certificates, another \(chain.count)")
        for (certificate, identity) in zip(chain, identities) {
            let texts = certificate.uriSANs + [certificate.issuer, certificate.subject, certificate.serial]
            promise(texts.allSatisfy(isPlain), "odd bytes of a certificate reach the log")
            guard let identity else { continue }
            promise(
                certificate.identity == identity, "\(identity) to TLS is \(String(describing: certificate.identity))")
            promise(certificate.uriSANs == [identity.description], "\(identity) of \(certificate.uriSANs)")
        }
    }

    static func runPEM(_ bytes: UnsafeRawBufferPointer) {
        let text = Array(bytes)
        do {
            let chain = try Certificate.chain(pem: text, source: "a file")
            promise(!chain.isEmpty && chain.count <= 1000, "\(chain.count) certificates")
            _ = try PeerIdentity.read(pem: text, source: "a file")
        } catch {
            promise(isPlain(error.description), "odd bytes of a file reach the log")
        }
        do {
            _ = try RevokedCertificates(text, source: "a file")
        } catch {
            promise(isPlain(error.description), "odd bytes of a file reach the log")
        }
    }

    static func runConfiguration(_ bytes: UnsafeRawBufferPointer) {
        let text = Array(bytes)
        check { () throws(ConfigurationError) in
            let options = try NodeOptions(parsing: text, file: "node.yaml")
            promise(NodeOptions().over(options) == options, "no flags over a file are not the file")
            _ = try NodeConfiguration(options)
        }
        check { () throws(ConfigurationError) in
            let options = try WaypointOptions(parsing: text, file: "waypoint.yaml")
            _ = try WaypointConfiguration(options)
        }
    }

    /// Two states in one input, divided by a line `===`: the second is what an edit made of the first.
    static func runState(_ bytes: UnsafeRawBufferPointer) {
        var states: [LocalState] = []
        for part in halves(bytes, divider: "\n===\n") {
            check { () throws(ConfigurationError) in
                states.append(try LocalState(parsing: part, file: "state.yaml", trustDomain: "cluster.local"))
            }
        }
        guard let first = states.first else { return }
        let snapshot = MeshSnapshot(workloads: first.workloads, services: first.services, policies: first.policies)
        probe(snapshot, first)
        guard states.count == 2 else { return }
        let second = states[1]
        rereads(bytes, second)
        let next = snapshot.replacingAll(
            workloads: second.workloads, services: second.services, policies: second.policies)
        probe(next, second)
        promise(
            Set(next.allWorkloads.map(\.fields)) == Set(second.workloads.map(\.fields)),
            "the update leaves other workloads than the file has")
        promise(
            Set(next.allServices.map(\.fields)) == Set(second.services.map(\.fields)),
            "the update leaves other services than the file has")
        promise(
            Set(next.allPolicies.map(\.key)) == Set(second.policies.map(\.key)),
            "the update leaves other policies than the file has")
    }

    /// The same edit as one source sees it: what is read in part says what a whole reading says.
    private static func rereads(_ bytes: UnsafeRawBufferPointer, _ second: LocalState) {
        var reader = StateFileReader(trustDomain: "cluster.local")
        var last = LocalState()
        for part in halves(bytes, divider: "\n===\n") {
            check { () throws(ConfigurationError) in last = try reader.read(part, file: "state.yaml") }
        }
        promise(
            last.workloads.map(\.fields) == second.workloads.map(\.fields)
                && last.services.map(\.fields) == second.services.map(\.fields)
                && last.policies.count == second.policies.count
                && zip(last.policies, second.policies).allSatisfy { $0.saysTheSame(as: $1) && $0.key == $1.key }
                && last.warnings == second.warnings, "reading an edit in part says something else")
    }

    private static func probe(_ snapshot: MeshSnapshot, _ state: LocalState) {
        // Workloads on their host's network share its address and are not found by it.
        for workload in state.workloads.prefix(20) where workload.fields.networkMode == .standard {
            for address in workload.fields.addresses {
                // Several may claim one address; one of them has it.
                let found = snapshot.workload(at: NetworkAddress(network: workload.fields.network, ip: address))
                promise(found != nil, "\(workload) is not found by its address")
            }
        }
    }

    static func runRoutes(_ bytes: UnsafeRawBufferPointer) {
        check { () throws(ConfigurationError) in _ = try HTTPRouteFile(parsing: Array(bytes), file: "routes.yaml") }
    }

    private static func check(_ body: () throws(ConfigurationError) -> Void) {
        do {
            try body()
        } catch {
            promise(isPlain("\(error)"), "odd bytes of a file reach the log: \(error)")
            promise("\(error)".utf8.count < 4096, "a file's text fills the log")
        }
    }

    /// Without control characters but the line end.
    private static func isPlain(_ text: String) -> Bool {
        text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7f || $0 == 0x0a }
    }

    private static func halves(_ bytes: UnsafeRawBufferPointer, divider: String) -> [[UInt8]] {
        let divider = Array(divider.utf8)
        guard bytes.count > divider.count else { return [Array(bytes)] }
        for start in 0...(bytes.count - divider.count)
        where bytes[start..<(start + divider.count)].elementsEqual(divider) {
            return [Array(bytes[..<start]), Array(bytes[(start + divider.count)...])]
        }
        return [Array(bytes)]
    }

    private static func base64(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var text: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let value = group.reduce(0) { $0 << 8 | Int($1) } << (8 * (3 - group.count))
            for place in 0..<4 {
                text.append(place <= group.count ? alphabet[value >> (18 - 6 * place) & 63] : UInt8(ascii: "="))
            }
            if text.count % 65 == 64 { text.append(UInt8(ascii: "\n")) }
        }
        return text + [UInt8(ascii: "\n")]
    }
}
