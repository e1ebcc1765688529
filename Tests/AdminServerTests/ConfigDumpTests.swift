import MeshModel
import StatusModel
import Telemetry
import Testing

@testable import AdminServer

#if canImport(FoundationEssentials)
import FoundationEssentials
#endif

@Suite struct ConfigDumpTests {
    /// The keys that istioctl and Kiali decode, with their types.
    struct Dump: Decodable {
        struct Gateway: Decodable, Equatable {
            let destination: String
            let hboneMtlsPort: UInt16
        }
        struct OneWorkload: Decodable {
            let uid: String
            let workloadIps: [String]
            let name: String
            let namespace: String
            let `protocol`: String
            let status: String
            let node: String?
            let waypoint: Gateway?
        }
        struct OneService: Decodable {
            struct Endpoint: Decodable {
                let workloadUid: String
                let port: [String: UInt16]
            }
            let name: String
            let namespace: String
            let hostname: String
            let vips: [String]
            let endpoints: [String: Endpoint]
        }
        struct Policy: Decodable {
            let name: String
            let action: String
            let scope: String
            let rules: [[[[String: [[String: String]]]]]]
        }
        struct Certificate: Decodable {
            struct Leaf: Decodable {
                let pem: String?
                let serialNumber: String
                let validFrom: String?
                let expirationTime: String?
            }
            let identity: String
            let state: String
            let certChain: [Leaf]
            let rootCerts: [Leaf]
        }
        struct State: Decodable {
            struct Connection: Decodable, Equatable {
                let src: String
                let originalDst: String?
                let actualDst: String
                let `protocol`: String
            }
            struct Connections: Decodable {
                let inbound: [Connection]
                let outbound: [Connection]
            }
            let state: String
            let info: [String: String]
            let connections: Connections?
        }
        /// Kiali decodes these into typed fields; one of another type makes it refuse the whole dump.
        struct Configuration: Decodable {
            struct Duration: Decodable, Equatable {
                let secs: Int
                let nanos: Int
            }
            struct Sockets: Decodable {
                let keepaliveTime: Duration
                let keepaliveInterval: Duration
                let keepaliveRetries: Int
                let keepaliveEnabled: Bool
                let userTimeoutEnabled: Bool
            }
            let proxy: Bool
            let dnsProxy: Bool
            let windowSize: Int
            let connectionWindowSize: Int
            let frameSize: Int
            let poolMaxStreamsPerConn: Int
            let poolUnusedReleaseTimeout: Duration
            let selfTerminationDeadline: Duration
            let socketConfig: Sockets
            let packetMark: Int?
            let requireOriginalSource: Bool?
            let numWorkerThreads: Int
            let proxyMode: String
            let clusterId: String
            let clusterDomain: String
            let network: String
            let localNode: String
            let secretTtl: Duration
            let illegalPorts: [Int]?
            let inboundAddr: String?
            let statsAddr: [String: String]?
            let readinessAddr: [String: String]?
            let adminAddr: [String: AdminAddress]?
            let proxyMetadata: [String: String]
            let xdsHeaders: [[String]]
            let caHeaders: [[String]]
            let ipv6Enabled: Bool
        }
        /// `{"Localhost": [true, 15000]}`
        struct AdminAddress: Decodable {
            let port: Int

            init(from decoder: any Decoder) throws {
                var list = try decoder.unkeyedContainer()
                _ = try list.decode(Bool.self)
                port = try list.decode(Int.self)
            }
        }
        let workloads: [OneWorkload]
        let services: [OneService]
        let policies: [Policy]
        let certificates: [Certificate]
        let workloadState: [String: State]
        let stagedServices: [String: [String: OneService.Endpoint]]
        let config: Configuration
        let version: [String: String]
    }

    static func dump() throws -> Dump {
        let name = ServiceName(namespace: "app", hostname: "web.app.svc.cluster.local")
        var web = Workload.Fields()
        web.uid = "Kubernetes//Pod/app/web"
        web.name = "web"
        web.namespace = "app"
        web.addresses = [IPAddress(v4: 0x0a00_0001)]
        web.tunnelProtocol = .hbone
        web.node = "one"
        web.waypoint = GatewayAddress(destination: .hostname(name))
        web.services = [name: [80: 8080]]
        var hostile = Workload.Fields()
        hostile.uid = "a\"\n\u{1b}uid"
        hostile.name = "x"
        var service = Service.Fields()
        service.name = "web"
        service.namespace = "app"
        service.hostname = name.hostname
        service.vips = [NetworkAddress(network: "", ip: IPAddress(v4: 0x0a0a_0001))]
        service.ports = [80: 8080]
        var match = AuthorizationPolicy.Match()
        match.principals = [.exact("cluster.local/ns/app/sa/client"), .prefix("x")]
        let policy = AuthorizationPolicy(
            name: "p", namespace: "app", scope: .workloadSelector, action: .deny, rules: [[[match]]])
        let snapshot = MeshSnapshot(
            workloads: [Workload(web), Workload(hostile)], services: [Service(service)], policies: [policy])
        var report = StatusReport(
            program: "ztund", version: "1", pid: 1, startedAt: StatusTime(unixSeconds: 0), uptimeSeconds: 0)
        var certificate = CertificateStatus(identity: "spiffe://cluster.local/ns/app/sa/web", state: .available)
        certificate.notBefore = StatusTime(unixSeconds: 0)
        certificate.notAfter = StatusTime(unixSeconds: 86_400)
        certificate.serialNumber = "77"
        report.certificates = [
            certificate, CertificateStatus(identity: "spiffe://x", state: .unavailable, error: "no CA"),
        ]
        report.pods = [
            PodStatus(
                namespace: "app", name: "web", netns: "/run/netns/web", state: .captured,
                since: StatusTime(unixSeconds: 0))
        ]
        var held = report.certificates.map { HeldCertificate($0) }
        held[0].chain[0].pem = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"
        held[0].roots = [HeldCertificate.Part(pem: "ab", serialNumber: "9")]
        let (client, server) = (SocketAddress(IPAddress(v4: 1), 5), SocketAddress(IPAddress(v4: 2), 6))
        var inbound = LiveConnection(
            pod: "app/web", direction: .inbound, transport: .hbone, source: client, destination: server)
        inbound.peer = SpiffeID("spiffe://cluster.local/ns/app/sa/client")
        inbound.service = "web.app.svc.cluster.local"
        var outbound = LiveConnection(
            pod: "app/web", direction: .outbound, transport: .doubleHBONE, source: server, destination: client)
        outbound.target = "10.10.0.1:80"
        var configuration = RunningConfiguration()
        configuration.isNode = true
        configuration.adminAddress = SocketAddress(.loopbackV4, 15000)
        configuration.metricsAddress = SocketAddress(.anyV6, 15020)
        configuration.packetMark = 0x539
        configuration.poolReleaseSeconds = 300
        let bytes = ConfigDump(
            snapshot: snapshot, version: report.version, pods: report.pods, certificates: held,
            connections: [inbound, outbound], configuration: configuration
        ).bytes()
        #expect(!String(decoding: bytes, as: UTF8.self).contains("PRIVATE"))
        return try JSONDecoder().decode(Dump.self, from: Data(bytes))
    }

    @Test func toolsCanDecodeIt() throws {
        let dump = try Self.dump()
        #expect(dump.workloads.map(\.uid) == ["Kubernetes//Pod/app/web", "a\"\n\u{1b}uid"])
        let web = dump.workloads[0]
        #expect((web.protocol, web.status, web.node) == ("HBONE", "Healthy", "one"))
        #expect(web.workloadIps == ["10.0.0.1"])
        #expect(web.waypoint == .init(destination: "app/web.app.svc.cluster.local", hboneMtlsPort: 15008))
        #expect(dump.workloads[1].waypoint == nil)
        let service = try #require(dump.services.first)
        #expect(service.vips == ["/10.10.0.1"])
        #expect(service.endpoints["Kubernetes//Pod/app/web"]?.port == ["80": 8080])
        let policy = try #require(dump.policies.first)
        #expect((policy.action, policy.scope) == ("Deny", "WorkloadSelector"))
        #expect(
            policy.rules == [[[["principals": [["Exact": "cluster.local/ns/app/sa/client"], ["Prefix": "x"]]]]]])
        #expect(dump.certificates.map(\.state) == ["Available", "Unavailable: no CA"])
        #expect(dump.certificates[0].certChain.map(\.expirationTime) == ["1970-01-02T00:00:00Z"])
        let pem = try #require(dump.certificates[0].certChain[0].pem)
        let text = Data(base64Encoded: pem).map { String(decoding: $0, as: UTF8.self) }
        #expect(text == "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n")
        #expect(dump.certificates[0].rootCerts.map(\.pem) == ["YWI="])
        let connections = try #require(dump.workloadState["/run/netns/web"]?.connections)
        #expect(
            connections.inbound == [
                .init(
                    src: "0.0.0.1:5", originalDst: "web.app.svc.cluster.local", actualDst: "0.0.0.2:6",
                    protocol: "HBONE")
            ])
        #expect(
            connections.outbound == [
                .init(src: "0.0.0.2:6", originalDst: "10.10.0.1:80", actualDst: "0.0.0.1:5", protocol: "DOUBLEHBONE")
            ])
        #expect(dump.config.poolUnusedReleaseTimeout == .init(secs: 300, nanos: 0))
        #expect((dump.config.packetMark, dump.config.adminAddr?["Localhost"]?.port) == (1337, 15000))
        #expect(dump.config.statsAddr == ["SocketAddress": "[::]:15020"])
        #expect(dump.config.illegalPorts == [15001, 15006, 15008])
        #expect(dump.workloadState["/run/netns/web"]?.state == "Up")
        #expect(dump.workloadState["/run/netns/web"]?.info["namespace"] == "app")
    }
}
