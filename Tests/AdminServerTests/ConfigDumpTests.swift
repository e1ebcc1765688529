import MeshModel
import StatusModel
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
                let serialNumber: String
                let validFrom: String
                let expirationTime: String
            }
            let identity: String
            let state: String
            let certChain: [Leaf]
        }
        struct State: Decodable {
            let state: String
            let info: [String: String]
        }
        let workloads: [OneWorkload]
        let services: [OneService]
        let policies: [Policy]
        let certificates: [Certificate]
        let workloadState: [String: State]
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
        let bytes = ConfigDump(snapshot: snapshot, report: report).bytes()
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
        #expect(dump.workloadState["/run/netns/web"]?.state == "Up")
        #expect(dump.workloadState["/run/netns/web"]?.info["namespace"] == "app")
    }
}
