package import MeshModel

/// What a program was started with, as the `config` of ztunnel's configuration dump shows it: Kiali decodes it into typed
/// fields, so the types are fixed, and what is not set is left out.
package struct RunningConfiguration: Sendable, Hashable {
    package var adminAddress: SocketAddress?
    package var metricsAddress: SocketAddress?
    package var readinessAddress: SocketAddress?
    package var clusterID = ""
    package var clusterDomain = ""
    package var network = ""
    package var localNode = ""
    /// Where the state comes from, a path.
    package var statePath = ""
    package var workerThreads = 0
    /// The mark of what goes to peers; nil when sockets are not marked.
    package var packetMark: UInt32?
    /// Flow-control window of a stream, of a connection, and the largest frame, in bytes.
    package var streamWindow: UInt32 = 0
    package var connectionWindow: UInt32 = 0
    package var frameSize: UInt32 = 0
    package var poolMaxStreams = 0
    package var poolReleaseSeconds: UInt64 = 0
    package var terminationSeconds: UInt64 = 0
    package var certificateSeconds: UInt64 = 0
    /// nil is "where it is possible".
    package var requireOriginalSource: Bool?
    package var ipv6Enabled = true
    package var localhostAppTunnel = true
    package var responseBaggage = true
    package var keepaliveEnabled = true
    package var keepaliveSeconds: UInt64 = 180
    package var keepaliveIntervalSeconds: UInt64 = 180
    package var keepaliveRetries = 9
    package var userTimeoutEnabled = false
    /// Whether this program carries pods' traffic: a waypoint has no such listeners.
    package var isNode = false

    package init() {}
}

extension RunningConfiguration {
    /// The object under `config`.
    var document: JSONValue {
        var members: [JSONValue.Member] = [
            .init("proxy", .boolean(true)), .init("dnsProxy", .boolean(false)),
            .init("windowSize", .number(Int64(streamWindow))),
            .init("connectionWindowSize", .number(Int64(connectionWindow))),
            .init("frameSize", .number(Int64(frameSize))),
            .init("poolMaxStreamsPerConn", .number(Int64(poolMaxStreams))),
            .init("poolUnusedReleaseTimeout", Self.duration(poolReleaseSeconds)),
            .init("selfTerminationDeadline", Self.duration(terminationSeconds)),
            .init("network", .string(network)), .init("localNode", .string(localNode)),
            .init("proxyMode", .string("Shared")), .init("clusterId", .string(clusterID)),
            .init("clusterDomain", .string(clusterDomain)),
            .init("secretTtl", Self.duration(certificateSeconds)),
            .init("localXdsConfig", .object([.init("File", .string(statePath))])),
            .init("xdsOnDemand", .boolean(false)), .init("fakeCa", .boolean(false)),
            .init("fakeSelfInbound", .boolean(false)), .init("inpodPortReuse", .boolean(true)),
            .init("numWorkerThreads", .number(Int64(workerThreads))),
            .init("ipv6Enabled", .boolean(ipv6Enabled)),
            .init("localhostAppTunnel", .boolean(localhostAppTunnel)),
            .init("enableEnhancedBaggage", .boolean(responseBaggage)),
            .init("proxyMetadata", .object([])), .init("xdsHeaders", .array([])), .init("caHeaders", .array([])),
            .init(
                "socketConfig",
                .object([
                    .init("keepaliveTime", Self.duration(keepaliveSeconds)),
                    .init("keepaliveInterval", Self.duration(keepaliveIntervalSeconds)),
                    .init("keepaliveRetries", .number(Int64(keepaliveRetries))),
                    .init("keepaliveEnabled", .boolean(keepaliveEnabled)),
                    .init("userTimeoutEnabled", .boolean(userTimeoutEnabled)),
                ])),
        ]
        if isNode {
            members += [
                .init("inboundAddr", .string("[::]:15008")), .init("inboundPlaintextAddr", .string("[::]:15006")),
                .init("outboundAddr", .string("[::]:15001")),
                .init("illegalPorts", .array([15001, 15006, 15008].map { .number($0) })),
            ]
        }
        if let adminAddress { members.append(.init("adminAddr", Self.admin(adminAddress))) }
        if let metricsAddress { members.append(.init("statsAddr", Self.address(metricsAddress))) }
        if let readinessAddress { members.append(.init("readinessAddr", Self.address(readinessAddress))) }
        if let packetMark { members.append(.init("packetMark", .number(Int64(packetMark)))) }
        if let requireOriginalSource {
            members.append(.init("requireOriginalSource", .boolean(requireOriginalSource)))
        }
        return .object(members)
    }

    private static func duration(_ seconds: UInt64) -> JSONValue {
        .object([.init("secs", .number(Int64(clamping: seconds))), .init("nanos", .number(0))])
    }

    private static func address(_ address: SocketAddress) -> JSONValue {
        .object([.init("SocketAddress", .string("\(address)"))])
    }

    private static func admin(_ address: SocketAddress) -> JSONValue {
        guard address.ip.isLoopback else { return Self.address(address) }
        return .object([.init("Localhost", .array([.boolean(true), .number(Int64(address.port))]))])
    }
}
